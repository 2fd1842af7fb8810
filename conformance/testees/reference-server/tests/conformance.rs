//! The reference server keeps every rule that the suite can try on it.

use readywire_conformance::credentials::Credentials;
use readywire_conformance::judge_server::{self, Server};
use readywire_conformance::process::Start;
use readywire_conformance::report::text;
use readywire_conformance::verdict::{Judged, Verdict};
use readywire_conformance::{catalogue, discover, settings};
use readywire_protocol::clause::Side;

const SERVER: &str = env!("CARGO_BIN_EXE_readywire-conformance-server");

/// A secret of this run, in a file.
fn secret() -> String {
    let path = format!("{}/secret-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, "only for the tests of this workspace, and long enough").expect("a file for the secret");
    path
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Everything that is not a pass, as the report shows it.
/// What a server without Topics does, which this one is not.
const OTHERS: [&str; 1] = ["topic.refused/without-the-level"];

fn problems(judged: &[Judged]) -> String {
    let expected = |one: &Judged| match OTHERS.contains(&one.case.id.as_str()) {
        true => Verdict::Unsupported,
        false => Verdict::Pass,
    };
    judged.iter().filter(|one| one.verdict != expected(one)).map(text::problem).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_server_keeps_every_rule() {
    let secret = secret();
    let settings = settings::parse(&words(&["wanted"])).expect("settings");
    let command = [SERVER, "--jwt-secret-file", &secret];
    let start = Start { words: words(&command), settings: settings::variable(&settings) };
    // Its log is long; what is in it, cases of their own look at.
    let started = start.run(true).await.expect("the server starts");
    let url = started.url.clone();
    let credentials = Credentials::command(words(&[&command[..], &["token", "--subject", "{subject}"]].concat()));
    let levels = discover::levels(&url, &credentials).await.expect("the server comes to ready");
    assert_eq!(levels.len(), 8, "every level: {levels:?}");
    let mut cases = catalogue::built_in().expect("cases");
    cases.retain(|case| case.side == Side::Server);
    let count = cases.len();
    let lacks = Default::default();
    let server = Server { url, start: Some(start), credentials, levels, lacks, settings, jobs: 16 };
    let judged = judge_server::judge(&server, cases, |_| {}).await;
    started.stop().await;
    let problems = problems(&judged);
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(judged.len(), count, "each is judged");
}
