//! Plays cases with a mutant, and sees which of them fail.

use crate::copy::{Peers, VARIABLE};
use crate::mutant::Mutant;
use readywire_conformance::case::Case;
use readywire_conformance::credentials::Credentials;
use readywire_conformance::judge_client::{self, Client};
use readywire_conformance::judge_server::{self, Server};
use readywire_conformance::process::Start;
use readywire_conformance::verdict::{Judged, Verdict};
use readywire_conformance::{settings, testee};
use readywire_protocol::clause::{Level, Side};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// How long a broken client may take for the next thing.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a mutant.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The cases that failed, by their ids.
    pub failed: Vec<String>,
    /// What stood in the way of a verdict.
    pub not_run: Vec<String>,
}

impl Outcome {
    fn of(judged: &[Judged]) -> Self {
        let ids = |wanted: &[Verdict]| {
            let those = judged.iter().filter(|one| wanted.contains(&one.verdict));
            those.map(|one| one.case.id.clone()).collect()
        };
        Self { failed: ids(&[Verdict::Fail, Verdict::NonStrict]), not_run: ids(&[Verdict::NotRun]) }
    }
}

/// Plays cases with a peer in which the mutant is turned on; without one, with the peer as it is.
///
/// # Errors
/// The peer cannot be started.
pub async fn play(
    peers: &Peers,
    secret: &Path,
    side: Side,
    mutant: Option<&Mutant>,
    cases: Vec<Case>,
    jobs: usize,
) -> Result<Outcome, String> {
    let switch = format!("{VARIABLE}={}", mutant.map_or_else(String::new, Mutant::switch));
    let started = |program: &Path| vec!["env".to_owned(), switch.clone(), program.display().to_string()];
    let judged = match side {
        Side::Client => client(started(&peers.client), cases, jobs).await?,
        _ => server(started(&peers.server), secret, cases, jobs).await?,
    };
    Ok(Outcome::of(&judged))
}

async fn server(mut command: Vec<String>, secret: &Path, cases: Vec<Case>, jobs: usize) -> Result<Vec<Judged>, String> {
    command.extend(["--jwt-secret-file".to_owned(), secret.display().to_string()]);
    let settings = settings::parse(&["wanted".to_owned()])?;
    let token = ["token", "--subject", "{subject}"].map(str::to_owned);
    let credentials = Credentials::command([&command[..], &token].concat());
    let start = Start { words: command, settings: settings::variable(&settings) };
    let started = start.run(true).await?;
    let server = Server {
        url: started.url.clone(),
        start: Some(start),
        credentials,
        levels: every_level(),
        lacks: BTreeSet::new(),
        settings,
        jobs,
    };
    let judged = judge_server::judge(&server, cases, |_| {}).await;
    started.stop().await;
    Ok(judged)
}

async fn client(command: Vec<String>, cases: Vec<Case>, jobs: usize) -> Result<Vec<Judged>, String> {
    let (testee, program) = testee::process::start(&command).await?;
    let client = Client { testee, levels: every_level(), lacks: BTreeSet::new(), jobs, patience: PATIENCE };
    let judged = judge_client::judge(&client, cases, |_| {}).await;
    program.stop(client.testee).await;
    Ok(judged)
}

/// What both peers have.
fn every_level() -> BTreeSet<Level> {
    Level::ALL.iter().copied().collect()
}
