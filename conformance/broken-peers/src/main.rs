//! `cargo xtask broken-peers`: sees that the suite fails every peer that breaks a rule.

use clap::Parser;
use futures::StreamExt;
use readywire_broken_peers::copy::{self, Peers};
use readywire_broken_peers::mutant::{self, Mutant};
use readywire_broken_peers::table;
use readywire_broken_peers::trial::{self, Outcome};
use readywire_conformance::case::Case;
use readywire_conformance::catalogue;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  cargo xtask broken-peers
  cargo xtask broken-peers --only session.fence
  cargo xtask broken-peers --page > conformance/MUTANTS.md
  cargo xtask broken-peers --table --only session.";

/// Builds the reference server and the Rust client with one rule broken at a time, and fails unless the suite notices
/// each. Takes a minute or two.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask broken-peers", after_help = EXAMPLES)]
struct CommandLine {
    /// Only the mutants whose `side:clause/slug` contains these words.
    #[arg(long, default_value = "")]
    only: String,
    /// Only the lists whose path contains these words; the others are not even built.
    #[arg(long, default_value = "")]
    list: String,
    /// Print the page of all mutants, each with the case that has to fail it, and do nothing else.
    #[arg(long, conflicts_with_all = ["only", "list", "table"])]
    page: bool,
    /// Play every case of its side with each mutant, and write the table of mutants and cases to
    /// target/broken-peers/table.md. Takes an hour for all of them.
    #[arg(long)]
    table: bool,
    /// How many mutants at a time.
    #[arg(long, default_value_t = 6)]
    jobs: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = tokio::select! {
        result = run(CommandLine::parse()) => result,
        _ = tokio::signal::ctrl_c() => Err("interrupted".to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: CommandLine) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).ok_or("the workspace has no root")?;
    let mutants = mutant::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants"), &options.list)?;
    if options.page {
        print!("{}", table::page(&mutants));
        return Ok(true);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder));
    let folder = target.join("broken-peers");
    let peers = copy::build(root, &folder, &mutants)?;
    let secret = folder.join("secret");
    std::fs::write(&secret, "only for the broken peers of this workspace, and long enough")
        .map_err(|error| format!("{}: {error}", secret.display()))?;
    let chosen: Vec<Mutant> = mutants.into_iter().filter(|mutant| mutant.switch().contains(&options.only)).collect();
    if chosen.is_empty() {
        return Err(format!("no mutant is called something with `{}`", options.only));
    }
    sound(&peers, &secret, &chosen).await?;
    let began = Instant::now();
    let count = chosen.len();
    // Each in a task of its own, so that one that is busy does not hold up the clocks of the others.
    let trials = futures::stream::iter(chosen).map(|mutant| {
        let (peers, secret, all) = (peers.clone(), secret.clone(), options.table);
        let trial = tokio::spawn(async move {
            let cases = cases(&mutant, all)?;
            let jobs = if all { 32 } else { 1 };
            let outcome = trial::play(&peers, &secret, mutant.side(), Some(&mutant), cases, jobs).await;
            outcome.map(|outcome| (mutant, outcome))
        });
        async move { trial.await.unwrap_or_else(|panic| Err(panic.to_string())) }
    });
    let jobs = if options.table { 1 } else { options.jobs.max(1) };
    let mut trials = trials.buffered(jobs);
    let mut ended = Vec::new();
    let mut survivors = 0;
    while let Some(trial) = trials.next().await {
        let (mutant, outcome) = trial?;
        if !options.table && (ended.len() + 1).is_multiple_of(50) {
            eprintln!("{} of {count} tried", ended.len() + 1);
        }
        if options.table {
            eprintln!("{}/{count} {}: {} cases fail", ended.len() + 1, mutant.switch(), outcome.failed.len());
        }
        if !outcome.failed.contains(&mutant.case) {
            survivors += 1;
            eprintln!(
                "SURVIVES {}\n  does  {}\n  case  {} {}",
                mutant.switch(),
                mutant.does,
                mutant.case,
                why(&mutant, &outcome)
            );
        }
        ended.push((mutant, outcome));
    }
    if options.table {
        let path = folder.join("table.md");
        std::fs::write(&path, table::markdown(&ended)).map_err(|error| format!("{}: {error}", path.display()))?;
        eprintln!("the table: {}", path.display());
    }
    eprintln!(
        "{count} broken peers, {} failed by their case, {survivors} survive ({:.1} s)",
        count - survivors,
        began.elapsed().as_secs_f64()
    );
    Ok(survivors == 0)
}

/// What was built passes the same cases while nothing is turned on: what fails later fails by the mutant.
async fn sound(peers: &Peers, secret: &Path, mutants: &[Mutant]) -> Result<(), String> {
    for side in [readywire_protocol::clause::Side::Server, readywire_protocol::clause::Side::Client] {
        let of_side: Vec<&Mutant> = mutants.iter().filter(|mutant| mutant.side() == side).collect();
        let mut wanted = catalogue::built_in()?;
        wanted.retain(|case| case.side == side && of_side.iter().any(|mutant| mutant.case == case.id));
        let outcome = trial::play(peers, secret, side, None, wanted, 32).await?;
        if !outcome.failed.is_empty() || !outcome.not_run.is_empty() {
            return Err(format!(
                "without any mutant, these fail: {} {}",
                outcome.failed.join(" "),
                outcome.not_run.join(" ")
            ));
        }
    }
    Ok(())
}

fn cases(mutant: &Mutant, all: bool) -> Result<Vec<Case>, String> {
    let mut cases = catalogue::built_in()?;
    cases.retain(|case| case.side == mutant.side() && (all || case.id == mutant.case));
    if cases.iter().any(|case| case.id == mutant.case) {
        return Ok(cases);
    }
    Err(format!("{}: there is no case `{}` for its side", mutant.switch(), mutant.case))
}

fn why(mutant: &Mutant, outcome: &Outcome) -> &'static str {
    if outcome.not_run.contains(&mutant.case) { "was not run" } else { "passes" }
}
