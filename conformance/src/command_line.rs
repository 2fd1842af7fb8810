//! The command line.

use crate::case;
use clap::{Args, Parser, Subcommand};
use readywire_protocol::clause::Level;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  readywire-conformance list --side server
  readywire-conformance server --url ws://127.0.0.1:8080/ws --token-command 'my-server token --subject {subject}'
  readywire-conformance server --url ws://127.0.0.1:8080/ws --token secret --case 'stage.*'
  readywire-conformance server --json report.json --junit report.xml -- ./my-server --port 9000
  readywire-conformance client -- node my-testee.mjs
  readywire-conformance client --browser chromium --page my-testee/ --worker
  readywire-conformance client --json client.json --html client.html -- node my-testee.mjs
  readywire-conformance talk --client 'node my-testee.mjs' --token-command 'my-server token' -- ./my-server --port 0
  readywire-conformance report --html all.html client.json server.json

Exit codes: 0 every case passes, or is excused by what was declared; 1 a case fails, or a list of known failures is wrong;
2 a case could not be run; 3 the command line, a file or the peer is not usable.";

/// Judges any server and any client of the Readywire protocol.
#[derive(Debug, Parser)]
#[command(name = "readywire-conformance", version, about, after_help = EXAMPLES)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Print the cases.
    List(List),
    /// Judge a server.
    Server(Server),
    /// Judge a client.
    Client(Client),
    /// Let a client and a server talk to each other.
    Talk(Talk),
    /// Merge reports by --json into one page.
    Report(Merge),
    /// Print the table of clauses and the cases that try them, as Markdown.
    Table(Choice),
}

/// Which cases.
#[derive(Clone, Debug, Default, Args)]
pub struct Choice {
    /// Only cases whose id fits; `*` stands for any text. May be given several times.
    #[arg(long = "case", value_name = "PATTERN")]
    pub cases: Vec<String>,
    /// Cases of this folder in place of the built-in ones.
    #[arg(long = "cases", value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// Prints the cases.
#[derive(Debug, Args)]
pub struct List {
    /// Which cases.
    #[command(flatten)]
    pub choice: Choice,
    /// Only cases that judge a `server` or a `client`.
    #[arg(long, value_parser = ["server", "client"])]
    pub side: Option<String>,
}

/// Where reports go.
#[derive(Clone, Debug, Default, Args)]
pub struct Reports {
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the report as one page of HTML, with the frames of what is not green as diagrams.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The list of cases that are known to fail, each with its reason.
    #[arg(long, value_name = "FILE")]
    pub known_failing: Option<PathBuf>,
    /// The name of what is judged, in reports.
    #[arg(long)]
    pub name: Option<String>,
}

/// Judges a server.
#[derive(Debug, Args)]
pub struct Server {
    /// Which cases.
    #[command(flatten)]
    pub choice: Choice,
    /// Where reports go.
    #[command(flatten)]
    pub reports: Reports,
    /// The server's WebSocket address. Without it, the command after `--` has to print one.
    #[arg(long)]
    pub url: Option<String>,
    /// The token of `alice`, where there is no command; other subjects are lacking then.
    #[arg(long, conflicts_with = "token_command")]
    pub token: Option<String>,
    /// A command that prints a token; `{subject}` in it stands for whose. Split at spaces.
    #[arg(long, value_name = "COMMAND")]
    pub token_command: Option<String>,
    /// A level that the server has: core, resume, answers, topics, refresh, binary, streams, questions. May be given several
    /// times. By default those that its `ready` lists; a server that never comes to ready can be judged with `--level core`.
    #[arg(long = "level", value_name = "LEVEL", value_parser = parse_level)]
    pub levels: Vec<Level>,
    /// A part of the contract, or a setting, that the server lacks.
    #[arg(long)]
    pub lacks: Vec<String>,
    /// A timer or limit of the server, such as `hello_timeout_ms=500`; `wanted` if it takes those that it finds in the
    /// environment variable `READYWIRE_CONFORMANCE`.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub settings: Vec<String>,
    /// How many cases at a time, at most: a quarter of `sessions_per_subject` is another bound.
    #[arg(long, default_value_t = 16)]
    pub jobs: usize,
    /// Show what the server writes to its standard error.
    #[arg(long)]
    pub server_log: bool,
    /// A command that starts the server and prints its address, `ws://…`, when it listens.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Judges a client.
#[derive(Debug, Args)]
pub struct Client {
    /// Which cases.
    #[command(flatten)]
    pub choice: Choice,
    /// Where reports go.
    #[command(flatten)]
    pub reports: Reports,
    /// Offer only these levels beyond core: resume, answers, topics, refresh, binary, streams, questions. By default those
    /// that the testee names.
    #[arg(long = "level", value_name = "LEVEL", value_parser = parse_level)]
    pub levels: Vec<Level>,
    /// A part of the contract that the client lacks, besides those that the testee names.
    #[arg(long)]
    pub lacks: Vec<String>,
    /// How many cases at a time; by default 16, and 8 in a browser, which holds back pages that open more at once.
    #[arg(long)]
    pub jobs: Option<usize>,
    /// The testee is a page: start this browser without a window, and serve the page to it.
    #[arg(long, value_name = "BROWSER", conflicts_with = "command", requires = "page")]
    pub browser: Option<Browser>,
    /// The browser's program, if it is not found by its usual name.
    #[arg(long, value_name = "FILE", requires = "browser")]
    pub browser_path: Option<PathBuf>,
    /// The folder of the page's testee, a module `testee.js`.
    #[arg(long, value_name = "FOLDER")]
    pub page: Option<PathBuf>,
    /// Serve another folder to the page as well, such as `readywire=dist` below `/readywire/`.
    #[arg(long = "serve", value_name = "NAME=FOLDER", requires = "browser")]
    pub served: Vec<String>,
    /// Load the testee in a worker of the page.
    #[arg(long, requires = "browser")]
    pub worker: bool,
    /// A command that starts the testee, which takes orders on its standard input and reports on its standard output.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Lets a client and a server talk to each other: echoes, a refusal, an answer, cuts, and a server that comes back.
///
/// The client is a testee as `client` knows it, the server starts as `server` knows it.
#[derive(Debug, Args)]
pub struct Talk {
    /// The command that starts the client's testee. Split at spaces.
    #[arg(long, value_name = "COMMAND")]
    pub client: String,
    /// A command that prints a token; `{subject}` in it stands for whose. Split at spaces.
    #[arg(long, value_name = "COMMAND")]
    pub token_command: Option<String>,
    /// How many echoes are sent at a time.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=200))]
    pub echoes: u64,
    /// What the two are called in the output.
    #[arg(long, default_value = "client and server")]
    pub name: String,
    /// The command that starts the server and prints its address, `ws://…`, when it listens.
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}

/// Merges reports into one page.
#[derive(Debug, Args)]
pub struct Merge {
    /// Where the page goes.
    #[arg(long, value_name = "FILE")]
    pub html: PathBuf,
    /// Reports by --json, in the order of the page's columns.
    #[arg(required = true, value_name = "JSON")]
    pub runs: Vec<PathBuf>,
}

/// A browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Browser {
    /// Chromium, or Chrome.
    Chromium,
    /// Firefox.
    Firefox,
}

fn parse_level(name: &str) -> Result<Level, String> {
    let names = || Level::ALL.iter().map(|level| level.name().to_ascii_lowercase()).collect::<Vec<_>>().join(", ");
    case::level(name).ok_or_else(|| format!("there are {}", names()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_help_names_every_level() {
        let mut command = CommandLine::command();
        for task in ["server", "client"] {
            let help = command.find_subcommand_mut(task).expect("a task").render_long_help().to_string();
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
            let names: Vec<String> = Level::ALL.iter().map(|level| level.name().to_ascii_lowercase()).collect();
            assert!(help.contains(&names[1..].join(", ")), "{task}: {help}");
        }
    }

    #[test]
    fn a_level_that_is_none_is_refused_with_those_there_are() {
        let levels = |level| CommandLine::try_parse_from(["it", "server", "--url", "ws://a", "--level", level]);
        assert!(
            matches!(levels("Answers").expect("parsed").task, Task::Server(options) if options.levels == [Level::Answers])
        );
        let error = levels("anwsers").expect_err("no level").to_string();
        assert!(error.contains("'anwsers'") && error.contains("core, resume, answers"), "{error}");
    }
}
