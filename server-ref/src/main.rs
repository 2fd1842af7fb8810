//! The reference server's binary: reads the command line and hands over to the library.

use clap::Parser;
use readywire_server::command_line::{Command, CommandLine};
use readywire_server::server;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match run(CommandLine::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("readywire-server: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(line: CommandLine) -> Result<(), String> {
    let authority = line.tokens.authority()?;
    if let Some(Command::Token { subject, ttl }) = &line.command {
        println!("{}", authority.mint(subject, *ttl));
        return Ok(());
    }
    // Logs go to the error stream: the first line of the other is the address.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let running = server::start(&line, authority).await?;
    println!("listening on ws://{}/ws", running.address());
    running.until(server::asked_to_stop()).await
}
