//! Reports: what `--json` keeps is read back, and the page shows it, whatever a peer wrote.

use readywire_conformance::catalogue;
use readywire_conformance::known::{self, Known};
use readywire_conformance::log::{Line, Origin};
use readywire_conformance::play::Played;
use readywire_conformance::report::run::Run;
use readywire_conformance::report::{html, json, junit};
use readywire_conformance::verdict::{Judged, Verdict};
use readywire_protocol::clause::{Clause, Level, Side, Strength};
use std::collections::BTreeSet;
use std::time::Duration;

fn line(origin: Origin, text: &str) -> Line {
    Line { at: 7, connection: "main".to_owned(), origin, text: text.to_owned() }
}

fn passed(lines: Vec<Line>) -> Played {
    Played { lines, took: 12, ..Played::default() }
}

fn failed(lines: Vec<Line>) -> Played {
    let said = |text: &str| Some(text.to_owned());
    let (doing, expected, actual) = (said("wait for the close"), said("a close with 4402"), said("nothing for 5 s"));
    Played { step: Some(3), doing, expected, actual, ..passed(lines) }
}

/// A run of the cases for one side, each played by `play`, which sees its place among those of its clause.
fn run(name: &str, side: Side, play: impl Fn(Clause, usize) -> Played) -> Run {
    let mut judged: Vec<Judged> = Vec::new();
    for case in catalogue::built_in().expect("cases").into_iter().filter(|case| case.side == side) {
        let place = judged.iter().filter(|one| one.case.clause == case.clause).count();
        let played = play(case.clause, place);
        judged.push(Judged::of(case, played));
    }
    Run::of(name, side, &BTreeSet::from([Level::Core]), &judged, &[], Duration::from_millis(1234))
}

fn page(runs: &[Run]) -> String {
    html::page(runs).expect("a page")
}

/// A run of which the first case of `stage.order` fails, with these lines.
fn one_failing(lines: &[Line]) -> Run {
    run("mine", Side::Client, |clause, place| match (clause, place) {
        (Clause::StageOrder, 0) => failed(lines.to_vec()),
        _ => passed(Vec::new()),
    })
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no `{begin}`"));
    rest.split_once(end).unwrap_or_else(|| panic!("no `{end}` after `{begin}`")).0
}

/// The rows of the matrix of clauses.
fn rows(page: &str) -> Vec<&str> {
    let matrix = between(page, "<table class=\"matrix clauses\">", "</table>");
    matrix.split("<tr>").skip(2).collect()
}

/// What the matrix says of a clause.
fn row<'a>(page: &'a str, clause: &str) -> &'a str {
    let link = format!("href=\"#{clause}\"");
    rows(page).into_iter().find(|row| row.contains(&link)).unwrap_or_else(|| panic!("no row of {clause}"))
}

#[test]
fn nothing_that_a_peer_writes_is_markup() {
    let hostile = "<script>alert(1)</script>\" onmouseover=\"x\u{0}\u{1b}[2J\u{202e}";
    let mut lines = vec![line(Origin::Suite, hostile), line(Origin::Peer, hostile), line(Origin::Report, hostile)];
    lines.push(Line { connection: hostile.to_owned(), ..line(Origin::Peer, &hostile.repeat(10)) });
    lines.push(line(Origin::Peer, &serde_json::json!({ "type": hostile }).to_string()));
    let mut run = one_failing(&lines);
    let case = run.cases.iter_mut().find(|case| case.verdict == Verdict::Fail).expect("a case");
    case.id.push_str(hostile);
    case.reason = Some(hostile.to_owned());
    let played = case.played.as_mut().expect("played");
    for said in [&mut played.doing, &mut played.expected, &mut played.actual, &mut played.nearest] {
        *said = Some(hostile.to_owned());
    }
    for said in [&mut run.name, &mut run.suite, &mut run.date, &mut run.levels[0]] {
        said.push_str(hostile);
    }
    // A clause that this version does not know comes with its own words.
    let mut stranger = run.cases[0].clone();
    for said in [&mut stranger.clause, &mut stranger.rule, &mut stranger.strength, &mut stranger.level] {
        said.push_str(hostile);
    }
    run.cases.push(stranger);
    let page = page(&[run.clone(), run]);
    assert!(!page.contains("<script"));
    assert!(!page.contains("\" onmouseover=\""));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot; onmouseover="));
    let raw = page.chars().find(|character| (character.is_control() && *character != '\n') || *character == '\u{202e}');
    assert_eq!(raw, None);
    assert!(page.contains("␀␛[2J⟨U+202E⟩"));
}

#[test]
fn a_failing_case_shows_its_rule_what_had_to_come_and_what_came() {
    let lines = [line(Origin::Suite, r#"{"type":"stage","stage":"READY"}"#), line(Origin::Peer, "(close 4409 late)")];
    let page = page(&[one_failing(&lines)]);
    let case = between(&page, "<details class=\"case fail\" open ", "</dl>");
    for said in [Clause::StageOrder.text(), "MUST", "a close with 4402", "nothing for 5 s", "wait for the close"] {
        assert!(case.contains(said), "`{said}` is not in {case}");
    }
    let diagram = between(&page, "</dl>", "</ol>");
    for said in ["class=\"suite\"", "<b>stage</b>", "class=\"peer\"", "(close 4409 late)", "<b>step 3</b>"] {
        assert!(diagram.contains(said), "`{said}` is not in {diagram}");
    }
}

#[test]
fn a_cell_says_that_one_of_its_cases_fails() {
    let page = page(&[one_failing(&[])]);
    let cases = catalogue::built_in().expect("cases");
    let alike = cases.iter().filter(|case| case.side == Side::Client && case.clause == Clause::StageOrder).count();
    let cell = row(&page, "stage.order");
    assert!(cell.contains("<td class=\"fail\""), "{cell}");
    assert!(cell.contains(&format!("1 of {alike} failed")), "{cell}");
    let cell = row(&page, "ready.once");
    assert!(cell.contains("<td class=\"pass\"") && cell.contains(" passed"), "{cell}");
    assert!(row(&page, "send.order").contains("not bound"));
    assert!(row(&page, "upgrade.nodelay").contains("no case"));
}

#[test]
fn a_merged_page_has_a_column_for_each_run() {
    let client = one_failing(&[]);
    let server = run("yours", Side::Server, |_, _| passed(Vec::new()));
    for runs in [vec![client.clone()], vec![client.clone(), server.clone(), client]] {
        let page = page(&runs);
        let head = between(&page, "<table class=\"matrix clauses\">", "</thead>");
        let columns: Vec<&str> = head.split("<th ").skip(3).collect();
        assert_eq!(columns.len(), runs.len());
        for (column, run) in columns.iter().zip(&runs) {
            assert!(column.contains(&run.name) && column.contains(&run.side), "{column}");
        }
        let rows = rows(&page);
        assert_eq!(rows.len(), Clause::ALL.len());
        for row in rows {
            assert_eq!(row.matches("<td ").count(), 1 + runs.len(), "{row}");
        }
    }
}

#[test]
fn json_is_read_back_to_the_same() {
    let mut cases = catalogue::built_in().expect("cases").into_iter();
    let mut next = |strength: &str| cases.find(|case| case.strength().name() == strength).expect("a case");
    let lines = vec![line(Origin::Order, "{}"), line(Origin::Peer, "\u{0}\"é")];
    let impossible = Played { impossible: Some("no testee".to_owned()), ..failed(lines.clone()) };
    let judged = vec![
        Judged::of(next("MUST"), passed(lines.clone())),
        Judged::of(next("MUST"), failed(lines.clone())),
        Judged::of(next("MUST"), impossible),
        Judged::of(next("SHOULD"), failed(lines)),
        Judged::without(next("MUST"), Verdict::Unsupported, "it lacks `bob`".to_owned()),
    ];
    let levels = BTreeSet::from([Level::Core, Level::Resume]);
    let run = Run::of("mine", Side::Server, &levels, &judged, &[], Duration::ZERO);
    let text = json::write(&run).expect("written");
    let read = json::read(&text).expect("read");
    let verdicts: Vec<(&str, Verdict)> = read.cases.iter().map(|case| (case.id.as_str(), case.verdict)).collect();
    let given: Vec<(&str, Verdict)> = judged.iter().map(|one| (one.case.id.as_str(), one.verdict)).collect();
    assert_eq!(verdicts, given);
    assert_eq!(json::write(&read).expect("written again"), text);
    assert!(json::read("{\"name\":\"mine\"}").expect_err("no run").contains("--json"));
}

#[test]
fn what_was_known_to_fail_says_why_and_fails_nothing_of_others() {
    let cases = catalogue::built_in().expect("cases").into_iter().filter(|case| case.strength() == Strength::Must);
    let judged: Vec<Judged> = cases.take(3).map(|case| Judged::of(case, failed(Vec::new()))).collect();
    let [first, second, third] = [0, 1, 2].map(|index| judged[index].case.id.as_str());
    let listed = |lines: &str| known::parse(lines).expect("a list");
    let some = listed(&format!("{first} the library is old\n{second} so it is here"));
    let run = |listed: &[Known]| Run::of("m", Side::Server, &BTreeSet::new(), &judged, listed, Duration::ZERO);
    let html = page(&[run(&some)]);
    assert!(html.contains("3 failed, 2 known</li>"), "{html}");
    assert!(html.contains("<dt>known</dt><dd>the library is old</dd>"), "{html}");
    assert!(page(&[run(&listed(&format!("{first} a\n{second} b\n{third} c")))]).contains("3 failed, all known"));
    let unlisted = page(&[run(&[])]);
    assert!(unlisted.contains("3 failed</li>") && !unlisted.contains("<dt>known</dt>"), "{unlisted}");
    let xml = junit::run("m", &judged, &some, Duration::ZERO);
    assert!(xml.contains("failures=\"1\" errors=\"0\" skipped=\"2\""), "{xml}");
    assert!(xml.contains("<skipped message=\"known to fail: the library is old\">"), "{xml}");
    assert_eq!((xml.matches("<failure ").count(), xml.matches("<skipped ").count()), (1, 2), "{xml}");
}

#[test]
fn the_page_asks_for_nothing_from_elsewhere() {
    let page = page(&[one_failing(&[line(Origin::Peer, "x")])]);
    assert!(page.contains("http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "));
    for asks in ["src=", "url(", "@import", "<link", "<script", "http://", "https://"] {
        assert!(!page.contains(asks), "{asks}");
    }
}

#[test]
fn hundreds_of_frames_are_cut_in_the_middle() {
    let lines: Vec<Line> = (0..500).map(|index| line(Origin::Peer, &format!("frame {index}."))).collect();
    let page = page(&[one_failing(&lines)]);
    assert!(page.contains("… 458 lines"));
    for (frame, shown) in [("frame 11.", true), ("frame 12.", false), ("frame 469.", false), ("frame 470.", true)] {
        assert_eq!(page.contains(frame), shown, "{frame}");
    }
}

#[test]
fn a_page_stays_small_even_if_every_case_fails() {
    let long = format!("{{\"type\":\"message\",\"payload\":\"{}\"}}", "x".repeat(1900));
    let lines: Vec<Line> = (0..60).map(|_| line(Origin::Peer, &long)).collect();
    let runs = [Side::Server, Side::Client].map(|side| run("bad", side, |_, _| failed(lines.clone())));
    let bytes = page(&runs).len();
    assert!(bytes < 2_000_000, "{bytes}");
}
