//! The project's own commands. `cargo xtask --help` lists them.
//!
//! Only the standard library is used, so that the first command after a clone compiles in a moment.

mod alerts;
mod browser_tests;
mod conformance;
mod demo;
mod mutations;
mod npm;
mod package;
mod process;
mod server;
mod setup;
mod signals;
mod suite;
mod workspace;

use std::process::ExitCode;

/// What went wrong, in words for a person.
type Failure = String;
type Outcome<T = ()> = Result<T, Failure>;

const HELP: &str = "\
The project's own commands.

Usage: cargo xtask <COMMAND> [OPTIONS]

Commands:
  demo           Install what is missing, build, start the server and print the address to open
  test           Run every check and test
  conformance    Judge every implementation of this repository by the suite
  broken-peers   See that the suite fails every peer that breaks a rule
  mutate         Break the protocol's core on purpose and see which test notices
  package        Build the npm package and print its size
  sizes          Print what each capability of the npm package takes to load
  setup          Install what the other commands need

`cargo xtask <COMMAND> --help` says more and shows examples.
";

const SETUP_HELP: &str = "\
Installs what the other commands need, and only what is missing: the wasm32 target, wasm-bindgen of the
version the workspace pins (below target/tools), the npm packages of sdk/js, web-demo and the suite's server
in JavaScript, Chromium with its driver, Firefox, and what the suite's peers in Python import (through
apt-get, as root), and promtool (from Debian's package, below target/tools).

Usage: cargo xtask setup

Examples:
  cargo xtask setup
";

const PACKAGE_HELP: &str = "\
Builds the npm package in sdk/js, prints what a page loads for each of its entries, and fails when that exceeds the
budget of one.

Usage: cargo xtask package

Examples:
  cargo xtask package
  cd sdk/js && npm pack          # after it: the file that would be published
";

const SIZES_HELP: &str = "\
Builds the wasm module with Core, Resume and Answers alone, then with one capability more at a time, then with
all of them, and prints what each adds to what a page loads. Takes some minutes; changes nothing.

Usage: cargo xtask sizes

Examples:
  cargo xtask sizes
";

const DEMO_HELP: &str = "\
Installs what is missing, builds the package, the page and the server, starts the server with a fresh
secret, and prints the address to open, a token already in place. Ctrl-C stops it.

Usage: cargo xtask demo [OPTIONS]

Options:
  --port <PORT>   Port on 127.0.0.1; 0 takes a free one [default: 8080]

Examples:
  cargo xtask demo
  cargo xtask demo --port 0
";

const TEST_HELP: &str = "\
Runs every check and test: format, clippy, native tests, tests in headless Chromium, the npm package and
its size, the demo page from end to end, the conformance suite against every implementation here, and
against peers that break a rule each. Stops at the first step that fails and says how to repeat it.

Usage: cargo xtask test [OPTIONS]

Options:
  --quick   Only format, clippy and native tests

Examples:
  cargo xtask test
  cargo xtask test --quick
";

const CONFORMANCE_HELP: &str = "\
Judges every implementation of the protocol in this repository by the conformance suite, and writes one report
of all of them to target/conformance/report.html. Then lets clients and servers talk to each other. Installs
and builds what they need.

Usage: cargo xtask conformance [OPTIONS]

Options:
  --only <WORDS>   Only the implementations whose name contains these words

Examples:
  cargo xtask conformance
  cargo xtask conformance --only server
";

const MUTATE_HELP: &str = "\
Breaks the protocol's core on purpose, one promise at a time, in a copy below target/mutations, and prints
which test notices. Fails when none does. Takes some minutes.

Usage: cargo xtask mutate [OPTIONS]

Options:
  --only <WORDS>   Only the mutations whose file or promise contains these words

Examples:
  cargo xtask mutate
  cargo xtask mutate --only session.fence
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Outcome<ExitCode> {
    let Some((command, options)) = arguments.split_first() else {
        print!("{HELP}");
        return Ok(ExitCode::FAILURE);
    };
    // Everything behind `wasm-runner` belongs to the test binary, `--help` included.
    if command == "wasm-runner" {
        return browser_tests::run(options);
    }
    let wants_help = options.iter().any(|option| option == "--help" || option == "-h");
    match command.as_str() {
        "-h" | "--help" | "help" => print!("{HELP}"),
        "setup" if wants_help => print!("{SETUP_HELP}"),
        "package" if wants_help => print!("{PACKAGE_HELP}"),
        "sizes" if wants_help => print!("{SIZES_HELP}"),
        "demo" if wants_help => print!("{DEMO_HELP}"),
        "test" if wants_help => print!("{TEST_HELP}"),
        "mutate" if wants_help => print!("{MUTATE_HELP}"),
        "conformance" if wants_help => print!("{CONFORMANCE_HELP}"),
        "conformance" => return conformance::run(&parse_only(command, options)?),
        "broken-peers" => return Ok(ExitCode::from(process::code(&mut conformance::broken_peers(options))?)),
        "setup" => {
            refuse_options(command, options)?;
            setup::everything()?;
        }
        "package" | "sizes" => {
            refuse_options(command, options)?;
            setup::rust_target()?;
            setup::wasm_bindgen()?;
            setup::node_packages()?;
            if command == "package" { package::build()? } else { package::sizes()? }
        }
        "demo" => demo::run(parse_port(options)?)?,
        "mutate" => return mutations::run(&parse_only(command, options)?),
        "test" => return suite::run(parse_quick(options)?),
        other => {
            return Err(format!("there is no command `{other}`; see `cargo xtask --help`"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse_options(command: &str, options: &[String]) -> Outcome {
    match options.first() {
        None => Ok(()),
        Some(option) => Err(unknown_option(command, option)),
    }
}

fn unknown_option(command: &str, option: &str) -> Failure {
    format!("`{command}` does not know `{option}`; see `cargo xtask {command} --help`")
}

fn parse_quick(options: &[String]) -> Outcome<bool> {
    let mut quick = false;
    for option in options {
        match option.as_str() {
            "--quick" => quick = true,
            other => return Err(unknown_option("test", other)),
        }
    }
    Ok(quick)
}

fn parse_only(command: &str, options: &[String]) -> Outcome<String> {
    match options {
        [] => Ok(String::new()),
        [option] if option == "--only" => Err("`--only` needs words to look for".to_owned()),
        [option, words] if option == "--only" => Ok(words.clone()),
        [option] if option.starts_with("--only=") => Ok(option["--only=".len()..].to_owned()),
        [option, ..] => Err(unknown_option(command, option)),
    }
}

fn parse_port(options: &[String]) -> Outcome<u16> {
    let mut port = 8080;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = match option.strip_prefix("--port") {
            Some("") => options.next().map(String::as_str).ok_or("`--port` needs a number")?,
            Some(rest) if rest.starts_with('=') => &rest[1..],
            _ => return Err(unknown_option("demo", option)),
        };
        port = value.parse().map_err(|_| format!("`{value}` is not a port: give 0 to 65535"))?;
    }
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn port_is_read_in_both_spellings() {
        assert_eq!(parse_port(&[]), Ok(8080));
        assert_eq!(parse_port(&words("--port 0")), Ok(0));
        assert_eq!(parse_port(&words("--port=9000")), Ok(9000));
    }

    #[test]
    fn words_are_read_in_both_spellings() {
        assert_eq!(parse_only("mutate", &[]), Ok(String::new()));
        assert_eq!(parse_only("mutate", &words("--only send.key")), Ok("send.key".to_owned()));
        assert_eq!(parse_only("mutate", &words("--only=send.key")), Ok("send.key".to_owned()));
    }

    #[test]
    fn bad_options_are_named() {
        assert!(parse_only("mutate", &words("--only")).is_err());
        assert!(parse_only("mutate", &words("--lonely x")).unwrap_err().contains("--lonely"));
        assert!(parse_port(&words("--port 70000")).unwrap_err().contains("70000"));
        assert!(parse_port(&words("--port")).is_err());
        assert!(parse_port(&words("--portal 1")).unwrap_err().contains("--portal"));
        assert!(parse_quick(&words("--fast")).unwrap_err().contains("--fast"));
        assert!(run(&words("dance")).is_err());
        assert!(run(&words("setup now")).is_err());
    }
}
