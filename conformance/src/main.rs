//! The command `readywire-conformance`.

use clap::Parser;
use readywire_conformance::case::Case;
use readywire_conformance::command_line::{Choice, CommandLine, List, Merge, Reports, Task};
use readywire_conformance::credentials::Credentials;
use readywire_conformance::judge_client;
use readywire_conformance::judge_server::{self, Server};
use readywire_conformance::known::{self, Known, glob};
use readywire_conformance::play::PATIENCE;
use readywire_conformance::process::Start;
use readywire_conformance::report::run::Run;
use readywire_conformance::report::{html, json, junit, text};
use readywire_conformance::talk::{Heard, Talk};
use readywire_conformance::verdict::{Counts, Judged, Verdict};
use readywire_conformance::{browser, catalogue, clauses, command_line, discover, settings, table, talk, testee};
use readywire_protocol::clause::{Level, Side};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[tokio::main]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    let result = tokio::select! {
        result = run(line) => result,
        _ = tokio::signal::ctrl_c() => Err("interrupted".to_owned()),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    }
}

async fn run(line: CommandLine) -> Result<u8, String> {
    match line.task {
        Task::List(list) => show(&list),
        Task::Table(choice) => {
            print!("{}", table::markdown(&chosen(&choice, None)?, &clauses::list()?));
            Ok(0)
        }
        Task::Client(options) => client(&options).await,
        Task::Server(options) => server(&options).await,
        Task::Talk(options) => meet(&options).await,
        Task::Report(options) => merge(&options),
    }
}

async fn server(options: &command_line::Server) -> Result<u8, String> {
    let cases = chosen(&options.choice, Some("server"))?;
    let listed = known_failing(&options.reports)?;
    let settings = settings::parse(&options.settings)?;
    let start = Start { words: options.command.clone(), settings: settings::variable(&settings) };
    let started = match &options.url {
        Some(_) => None,
        None => Some(start.run(!options.server_log).await?),
    };
    let url = options.url.clone().or_else(|| started.as_ref().map(|started| started.url.clone()));
    let url = url.ok_or("give --url, or a command after `--`")?;
    let credentials = match (&options.token, &options.token_command) {
        (Some(token), _) => Credentials::Token(token.clone()),
        (None, Some(command)) => Credentials::command(command.split_whitespace().map(str::to_owned).collect()),
        (None, None) => Credentials::None,
    };
    let mut lacks = lacking(&options.lacks, "server")?;
    if options.url.is_some() && options.settings.iter().any(|setting| setting == settings::WANTED) {
        return Err("`--set wanted` needs a server that the suite starts; with --url say what the values are, \
                    such as --set hello_timeout_ms=3000"
            .to_owned());
    }
    if options.token_command.is_none() {
        lacks.extend(settings::SUBJECTS.iter().map(|subject| (*subject).to_owned()));
    }
    let levels = if options.levels.is_empty() {
        discover::levels(&url, &credentials).await?
    } else {
        options.levels.iter().copied().chain([Level::Core]).collect()
    };
    let server = Server {
        url,
        start: started.is_some().then_some(start),
        credentials,
        levels,
        lacks,
        settings,
        jobs: options.jobs,
    };
    let began = Instant::now();
    let progress = Progress::new(cases.len());
    let judged = judge_server::judge(&server, cases, |one| progress.tell(one)).await;
    progress.clear();
    if let Some(started) = started {
        started.stop().await;
    }
    let took = began.elapsed();
    let name = options.reports.name.as_deref().unwrap_or("server");
    let run = Run::of(name, Side::Server, &server.levels, &judged, &listed, took);
    finish(&options.reports, &run, &judged, &listed, took)
}

/// What was started to speak for a client.
enum Started {
    Program(testee::process::Program),
    Browser(browser::Browser),
}

async fn client(options: &command_line::Client) -> Result<u8, String> {
    let cases = chosen(&options.choice, Some("client"))?;
    let listed = known_failing(&options.reports)?;
    let (testee, started) = match options.browser {
        Some(_) => {
            let (testee, browser) = browser::start(options).await?;
            (testee, Started::Browser(browser))
        }
        None => {
            let (testee, program) = testee::process::start(&options.command).await?;
            (testee, Started::Program(program))
        }
    };
    let mut levels = testee.hello.levels()?;
    if !options.levels.is_empty() {
        levels.retain(|level| *level == Level::Core || options.levels.contains(level));
    }
    let name = options.reports.name.clone().unwrap_or_else(|| testee.hello.name.clone());
    let client = judge_client::Client {
        testee,
        levels,
        lacks: lacking(&options.lacks, "client")?,
        jobs: options.jobs.unwrap_or(if options.browser.is_some() { 8 } else { 16 }),
        patience: 2 * PATIENCE,
    };
    let began = Instant::now();
    let progress = Progress::new(cases.len());
    let judged = judge_client::judge(&client, cases, |one| progress.tell(one)).await;
    progress.clear();
    let took = began.elapsed();
    match started {
        Started::Program(program) => program.stop(client.testee).await,
        Started::Browser(browser) => browser.stop(client.testee).await,
    }
    let run = Run::of(&name, Side::Client, &client.levels, &judged, &listed, took);
    finish(&options.reports, &run, &judged, &listed, took)
}

async fn meet(options: &command_line::Talk) -> Result<u8, String> {
    let words = |command: &str| command.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (testee, program) = testee::process::start(&words(&options.client)).await?;
    let credentials =
        options.token_command.as_deref().map_or(Credentials::None, |command| Credentials::command(words(command)));
    let start = Start { words: options.command.clone(), settings: settings::variable(&BTreeMap::new()) };
    let talk = Talk { testee: &testee, start: &start, credentials: &credentials, echoes: options.echoes };
    let heard = talk::talk(&talk).await;
    program.stop(testee).await;
    match heard {
        Ok(Heard { acknowledged, parts, comebacks, took }) => {
            println!(
                "{}: {acknowledged} of {acknowledged} acknowledged, {parts} parts of an answer, {comebacks} comebacks, in \
                 {:.1} s",
                options.name,
                took.as_secs_f64()
            );
            Ok(0)
        }
        Err(error) => {
            println!("FAIL {}\n  {error}", options.name);
            Ok(1)
        }
    }
}

fn merge(options: &Merge) -> Result<u8, String> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        json::read(&text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let runs = options.runs.iter().map(|path| read(path)).collect::<Result<Vec<Run>, String>>()?;
    write_to(&options.html, html::page(&runs)?)?;
    Ok(0)
}

fn write_to(path: &Path, text: String) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn show(list: &List) -> Result<u8, String> {
    let mut out = std::io::stdout().lock();
    for case in chosen(&list.choice, list.side.as_deref())? {
        let line = writeln!(
            out,
            "{:<7}{:<8}{:<7}{:<56}  {}",
            case.side.name(),
            case.needs.name(),
            case.strength().name(),
            case.id,
            case.does
        );
        if line.is_err() {
            // Whoever reads has seen enough.
            break;
        }
    }
    Ok(0)
}

/// What the peer lacks, by names that some case knows.
fn lacking(named: &[String], side: &str) -> Result<BTreeSet<String>, String> {
    let cases = catalogue::built_in()?.into_iter().filter(|case| case.side.name() == side);
    let known: BTreeSet<String> = cases.flat_map(|case| case.requires.into_iter().chain(case.settings)).collect();
    match named.iter().find(|name| !known.contains(*name)) {
        Some(unknown) => Err(format!(
            "nothing that can be lacking is called `{unknown}`; there are: {}",
            known.into_iter().collect::<Vec<_>>().join(", ")
        )),
        None => Ok(named.iter().cloned().collect()),
    }
}

fn chosen(choice: &Choice, side: Option<&str>) -> Result<Vec<Case>, String> {
    let mut cases = match &choice.folder {
        Some(folder) => catalogue::of_folder(folder)?,
        None => catalogue::built_in()?,
    };
    cases.retain(|case| side.is_none_or(|side| case.side.name() == side));
    if !choice.cases.is_empty() {
        for pattern in &choice.cases {
            if !cases.iter().any(|case| glob(pattern, &case.id)) {
                return Err(format!("`{pattern}` names no case; `readywire-conformance list` prints them"));
            }
        }
        cases.retain(|case| choice.cases.iter().any(|pattern| glob(pattern, &case.id)));
    }
    Ok(cases)
}

/// The list of cases that are known to fail, read before anything runs: a mistake in it costs no run.
fn known_failing(reports: &Reports) -> Result<Vec<Known>, String> {
    let Some(path) = &reports.known_failing else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    known::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Prints what is not green, writes the reports, and finds the exit code.
fn finish(reports: &Reports, run: &Run, judged: &[Judged], listed: &[Known], took: Duration) -> Result<u8, String> {
    let mut shown = Vec::new();
    for one in judged.iter().filter(|one| matches!(one.verdict, Verdict::Fail | Verdict::NotRun | Verdict::NonStrict)) {
        match known::reason(listed, &one.case.id) {
            Some(reason) => println!("known to fail: {} ({reason})\n", one.case.id),
            None if text::not_played(one) => {}
            None => shown.push(one),
        }
    }
    for problem in text::problems(&shown) {
        println!("{problem}");
    }
    let mistakes = known::mistakes(listed, judged);
    for mistake in &mistakes {
        println!("error: {mistake}");
    }
    let failed = judged.iter().filter(|one| one.verdict == Verdict::Fail);
    let known = failed.filter(|one| known::reason(listed, &one.case.id).is_some()).count();
    print!("{}", text::summary(&run.name, judged, known, took));
    if let Some(path) = &reports.json {
        write_to(path, json::write(run)?)?;
    }
    if let Some(path) = &reports.junit {
        write_to(path, junit::run(&run.name, judged, listed, took))?;
    }
    if let Some(path) = &reports.html {
        write_to(path, html::page(std::slice::from_ref(run))?)?;
    }
    let unlisted = judged.iter().filter(|one| known::reason(listed, &one.case.id).is_none());
    let counts = Counts::of(unlisted.map(|one| one.verdict));
    Ok(if counts.fail > 0 || !mistakes.is_empty() {
        1
    } else if counts.not_run > 0 {
        2
    } else {
        0
    })
}

/// How far a run is, on a terminal.
struct Progress {
    all: usize,
    done: std::cell::Cell<usize>,
    shown: bool,
}

impl Progress {
    fn new(all: usize) -> Self {
        Self { all, done: std::cell::Cell::new(0), shown: std::io::stderr().is_terminal() }
    }

    fn tell(&self, judged: &Judged) {
        self.done.set(self.done.get() + 1);
        if self.shown {
            eprint!("\r\x1b[K{}/{} {}", self.done.get(), self.all, judged.case.id);
        }
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
