//! The reference server as the conformance suite wants a server under test: its contract, `CERTIFY_SERVER.md`, in Rust.
//!
//! Everything here is what any application would write: handlers, services and settings. The server below knows
//! nothing of the suite.

#![forbid(unsafe_code)]

mod handlers;
mod services;
mod settings;
mod streams;
mod tokens;
mod topics;

use clap::{Parser, Subcommand};
use readywire_protocol::config::ServerConfig;
use readywire_server::command_line::Tokens;
use readywire_server::drain::DrainOptions;
use readywire_server::hub::Parts;
use readywire_server::origin::Origins;
use readywire_server::server::{Place, serve};
use readywire_server::service::Services;
use readywire_server::{logs, signals};
use services::Search;
use settings::Settings;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The reference server under test.
#[derive(Debug, Parser)]
#[command(name = "readywire-conformance-server", version)]
struct CommandLine {
    /// What to do instead of serving.
    #[command(subcommand)]
    command: Option<Command>,
    /// How tokens are signed.
    #[command(flatten)]
    tokens: Tokens,
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a token of one of the contract's subjects.
    Token {
        /// Whom it speaks for, or `expired` or `invalid`.
        #[arg(long)]
        subject: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(CommandLine::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("readywire-conformance-server: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(line: CommandLine) -> Result<(), String> {
    let authority = line.tokens.authority()?;
    if let Some(Command::Token { subject }) = &line.command {
        println!("{}", tokens::print(&authority, &line.tokens, subject)?);
        return Ok(());
    }
    logs::to_error_stream();
    let asked_to_stop = signals::asked_to_stop()?;
    let settings = Settings::of_environment()?;
    let search = Arc::new(Search::default());
    let defaults = Parts::new(authority);
    let mut parts = Parts {
        services: Services::start(services::all(&search)).map_err(|error| error.to_string())?,
        application: handlers::application(&search, &defaults.log),
        origins: Origins::of_server(line.listen, []),
        config: settings.config(ServerConfig::default()),
        // As long as a case may take.
        drain: DrainOptions { deadline: Some(Duration::from_millis(500)), ..DrainOptions::default() },
        ..defaults
    };
    if let Some(most) = settings.preauth_connections {
        parts.strangers_per_address = most;
    }
    let running = serve(parts, Place::at(line.listen)).await?;
    println!("listening on ws://{}/ws", running.address());
    running.until(asked_to_stop).await
}
