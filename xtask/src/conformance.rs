//! `cargo xtask conformance`: the suite against every implementation in this repository, and one report of all.

use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::server::SecretFile;
use crate::{Outcome, npm, package, process, setup, workspace};

/// An implementation, and how the suite is called for it.
struct Implementation {
    /// What it is called in reports, and by `--only`.
    name: &'static str,
    /// What has to be there before it runs.
    needs: &'static [Need],
    /// What the suite judges it as: the subcommand of `readywire-conformance`.
    side: &'static str,
    /// The arguments of that. `SECRET` stands for the path of a fresh secret, `TARGET` for where binaries are,
    /// `PYTHON` for the interpreter, `PAGE` for where the page of a browser comes from.
    arguments: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// The npm package, built.
    Package,
    Chromium,
    Firefox,
    Python,
    /// The npm packages of the server in JavaScript.
    NodeServer,
}

const PAGE: &[&str] = &["--page", "conformance/testees/browser-client", "--serve", "readywire=sdk/js/dist"];

const IMPLEMENTATIONS: &[Implementation] = &[
    Implementation {
        name: "reference-server",
        needs: &[],
        side: "server",
        arguments: &[
            "--set",
            "wanted",
            "--token-command",
            "TARGET/readywire-conformance-server --jwt-secret-file SECRET token --subject {subject}",
            "--",
            "TARGET/readywire-conformance-server",
            "--jwt-secret-file",
            "SECRET",
        ],
    },
    Implementation { name: "rust-client", needs: &[], side: "client", arguments: &["--", "TARGET/readywire-testee"] },
    Implementation {
        name: "npm-node",
        needs: &[Need::Package],
        side: "client",
        arguments: &["--", "node", "conformance/testees/node-client/testee.mjs"],
    },
    Implementation {
        name: "npm-chromium",
        needs: &[Need::Package, Need::Chromium],
        side: "client",
        arguments: &["--browser", "chromium", "PAGE"],
    },
    Implementation {
        name: "npm-chromium-worker",
        needs: &[Need::Package, Need::Chromium],
        side: "client",
        arguments: &["--browser", "chromium", "--worker", "PAGE"],
    },
    Implementation {
        name: "npm-firefox",
        needs: &[Need::Package, Need::Firefox],
        side: "client",
        arguments: &["--browser", "firefox", "PAGE"],
    },
    Implementation {
        name: "npm-firefox-worker",
        needs: &[Need::Package, Need::Firefox],
        side: "client",
        arguments: &["--browser", "firefox", "--worker", "PAGE"],
    },
    Implementation {
        name: "node-server",
        needs: &[Need::NodeServer],
        side: "server",
        arguments: &[
            "--set",
            "wanted",
            "--token-command",
            "node conformance/testees/node-server/main.mjs token --subject {subject} --secret-file SECRET",
            "--",
            "node",
            "conformance/testees/node-server/main.mjs",
            "--port",
            "0",
            "--secret-file",
            "SECRET",
        ],
    },
    Implementation {
        name: "fastapi-server",
        needs: &[Need::Python],
        side: "server",
        arguments: &[
            "--set",
            "wanted",
            "--known-failing",
            "conformance/testees/fastapi-server/known-failing.txt",
            "--token-command",
            "PYTHON conformance/testees/fastapi-server/testee.py --secret-file SECRET token --subject {subject}",
            "--",
            setup::PYTHON,
            "conformance/testees/fastapi-server/testee.py",
            "--secret-file",
            "SECRET",
            "--port",
            "0",
        ],
    },
    Implementation {
        name: "python-client",
        needs: &[Need::Python],
        side: "client",
        arguments: &["--", setup::PYTHON, "-B", "conformance/testees/python-client/testee.py"],
    },
];

/// Judges every implementation whose name contains `only`, after installing and building what they need.
pub(crate) fn run(only: &str) -> Outcome<ExitCode> {
    let chosen: Vec<&Implementation> = IMPLEMENTATIONS.iter().filter(|one| one.name.contains(only)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = IMPLEMENTATIONS.iter().map(|one| one.name).collect();
        return Err(format!("no implementation is called something with `{only}`: {}", names.join(", ")));
    }
    let needs = |need: Need| chosen.iter().any(|one| one.needs.contains(&need));
    if needs(Need::Package) {
        setup::rust_target()?;
        setup::wasm_bindgen()?;
        setup::node_packages()?;
        package::build()?;
    }
    if needs(Need::Chromium) {
        setup::browser()?;
    }
    if needs(Need::Firefox) {
        setup::firefox()?;
    }
    if needs(Need::Python) {
        setup::python()?;
    }
    if needs(Need::NodeServer) {
        npm::install(&workspace::node_server())?;
    }
    judge(&chosen)?;
    Ok(ExitCode::SUCCESS)
}

/// Judges all of them; what they need is there.
pub(crate) fn all() -> Outcome {
    judge(&IMPLEMENTATIONS.iter().collect::<Vec<_>>())
}

/// What sees to it that the suite fails every peer that breaks a rule.
pub(crate) fn broken_peers(options: &[String]) -> Command {
    let mut command = process::cargo();
    command.args(["run", "-q", "-p", "readywire-broken-peers", "--"]).args(options);
    command
}

fn judge(implementations: &[&Implementation]) -> Outcome {
    let packages = ["readywire-conformance", "readywire-conformance-server", "readywire-testee"];
    process::run(process::cargo().arg("build").args(packages.iter().flat_map(|package| ["-p", package])))?;
    let reports = workspace::target().join("conformance");
    std::fs::create_dir_all(&reports).map_err(|error| format!("{}: {error}", reports.display()))?;
    let secret = SecretFile::create()?;
    let mut failed = Vec::new();
    let mut written = Vec::new();
    for implementation in implementations {
        let report = reports.join(format!("{}.json", implementation.name));
        let began = Instant::now();
        let mut command = suite();
        command.args([implementation.side, "--name", implementation.name, "--json"]).arg(&report);
        if process::run(command.args(words(implementation, &secret))).is_err() {
            failed.push(implementation.name);
        }
        println!("  {} took {:.1} s", implementation.name, began.elapsed().as_secs_f64());
        written.push(report);
    }
    let page = reports.join("report.html");
    process::run(suite().arg("report").arg("--html").arg(&page).args(&written))?;
    println!("  the report of all: {}", page.display());
    if !failed.is_empty() {
        return Err(format!("these do not keep every rule: {}", failed.join(", ")));
    }
    let chosen = |name: &&&str| implementations.iter().any(|one| one.name == **name);
    for client in TALKERS.iter().filter(chosen) {
        for server in implementations.iter().filter(|one| one.side == "server") {
            let client = implementations.iter().find(|one| one.name == *client).ok_or("no such client")?;
            process::run(&mut talk(client, server, &secret))?;
        }
    }
    Ok(())
}

/// The clients that talk to each server: one of each kind that needs no browser.
const TALKERS: [&str; 3] = ["rust-client", "npm-node", "python-client"];

/// Lets a client talk to a server, over a wire that breaks off, and a server that goes and comes back.
fn talk(client: &Implementation, server: &Implementation, secret: &SecretFile) -> Command {
    let behind = |words: &[String], word: &str| words.iter().skip_while(|one| *one != word).skip(1).cloned().collect();
    let (client_words, server_words) = (words(client, secret), words(server, secret));
    let start: Vec<String> = behind(&client_words, "--");
    let token: Vec<String> = behind(&server_words, "--token-command");
    let mut command = suite();
    command.args(["talk", "--name", &format!("{} and {}", client.name, server.name), "--client", &start.join(" ")]);
    if let Some(token) = token.first() {
        command.args(["--token-command", token]);
    }
    let start: Vec<String> = behind(&server_words, "--");
    command.arg("--").args(start);
    command
}

fn suite() -> Command {
    process::program(workspace::target().join("debug/readywire-conformance"))
}

fn words(implementation: &Implementation, secret: &SecretFile) -> Vec<String> {
    let target = workspace::target().join("debug").display().to_string();
    let secret = secret.path().display().to_string();
    let mut words = Vec::new();
    for word in implementation.arguments {
        match *word {
            "PAGE" => words.extend(PAGE.iter().map(|word| (*word).to_owned())),
            word => {
                words.push(word.replace("TARGET", &target).replace("SECRET", &secret).replace("PYTHON", setup::PYTHON))
            }
        }
    }
    words
}
