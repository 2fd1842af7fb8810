//! `cargo xtask test`: the steps, in order, each timed.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::workspace::{self, WASM_TARGET};
use crate::{Outcome, alerts, browser_tests, conformance, demo, npm, package, process, server, setup};

/// What a step came to when it did not fail.
enum Step {
    Done,
    /// What it would test is not there yet.
    Skipped(&'static str),
}

struct Stage {
    name: &'static str,
    /// How a person repeats this step alone.
    repeat: &'static str,
    /// Part of `--quick` too.
    quick: bool,
    run: fn(quick: bool) -> Outcome<Step>,
}

/// What the client has besides its defaults.
const TICKETS: &str = "readywire/tickets";

const STAGES: &[Stage] = &[
    Stage { name: "setup", repeat: "cargo xtask setup", quick: true, run: set_up },
    Stage { name: "format", repeat: "cargo fmt --all --check", quick: true, run: format },
    Stage {
        name: "clippy, native",
        repeat: "cargo clippy --workspace --exclude readywire-js --features readywire/tickets --all-targets -- -D warnings",
        quick: true,
        run: clippy_native,
    },
    Stage {
        name: "clippy, wasm32",
        repeat: "cargo clippy --target wasm32-unknown-unknown -p readywire-protocol -p readywire -p readywire-js -- -D warnings",
        quick: true,
        run: clippy_wasm,
    },
    Stage {
        name: "native tests",
        repeat: "cargo test --workspace --exclude readywire-js --features readywire/tickets",
        quick: true,
        run: native_tests,
    },
    Stage {
        name: "alert rules",
        repeat: "promtool test rules server-ref/monitoring/alerts.test.yml",
        quick: false,
        run: alert_rules,
    },
    Stage {
        name: "browser tests",
        repeat: "cargo test -p readywire --features readywire/tickets --target wasm32-unknown-unknown --test 'browser*'",
        quick: false,
        run: wasm_tests,
    },
    Stage { name: "npm package and its size", repeat: "cargo xtask package", quick: false, run: build_package },
    Stage { name: "npm package tests", repeat: "cd sdk/js && npm test", quick: false, run: package_tests },
    Stage {
        name: "demo page, end to end",
        repeat: "cd web-demo && npm run build && npm test",
        quick: false,
        run: demo_tests,
    },
    Stage { name: "conformance", repeat: "cargo xtask conformance", quick: false, run: conformance_suite },
    Stage { name: "broken peers", repeat: "cargo xtask broken-peers", quick: false, run: broken_peers },
];

/// Runs the steps, stops at the first that fails, and prints what each took.
pub(crate) fn run(quick: bool) -> Outcome<ExitCode> {
    let stages: Vec<&Stage> = STAGES.iter().filter(|stage| stage.quick || !quick).collect();
    let mut rows = Vec::new();
    let (mut passed, mut failed) = (0, 0);
    let begun = Instant::now();
    for (index, stage) in stages.iter().enumerate() {
        println!("\n== {}/{} {}", index + 1, stages.len(), stage.name);
        let started = Instant::now();
        let outcome = (stage.run)(quick);
        let took = started.elapsed();
        match outcome {
            Ok(Step::Done) => {
                passed += 1;
                rows.push((stage.name, "passed", took));
            }
            Ok(Step::Skipped(what)) => {
                println!("skipped: {what} is not there yet");
                rows.push((stage.name, "skipped", took));
            }
            Err(failure) => {
                failed += 1;
                rows.push((stage.name, "FAILED", took));
                eprintln!("\nerror: step {} ({}): {failure}", index + 1, stage.name);
                eprintln!("to repeat it: {}", stage.repeat);
                break;
            }
        }
        println!("== {}/{} {} took {}", index + 1, stages.len(), stage.name, seconds(took));
    }
    println!();
    for (name, result, took) in rows {
        println!("  {name:<28}{result:<9}{:>9}", seconds(took));
    }
    println!("  {:<28}{:<9}{:>9}\n", "together", "", seconds(begun.elapsed()));
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn set_up(quick: bool) -> Outcome<Step> {
    if quick {
        setup::rust_components()?;
        setup::rust_target()?;
    } else {
        setup::everything()?;
    }
    Ok(Step::Done)
}

fn format(_quick: bool) -> Outcome<Step> {
    done(process::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy_native(_quick: bool) -> Outcome<Step> {
    // readywire-js is nothing without JavaScript around it; the next step looks at it.
    done(process::cargo().args([
        "clippy",
        "--workspace",
        "--exclude",
        "readywire-js",
        "--features",
        TICKETS,
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn clippy_wasm(_quick: bool) -> Outcome<Step> {
    let mut command = process::cargo();
    command.args(["clippy", "--target", WASM_TARGET]);
    for package in ["readywire-protocol", "readywire", "readywire-js"] {
        command.args(["-p", package]);
    }
    process::run(command.args(["--", "-D", "warnings"]))?;
    // A target filter applies to every package of a call, so the browser tests need their own.
    let targets = browser_tests::test_targets(&workspace::root().join("sdk/client"));
    if !targets.is_empty() {
        let mut command = process::cargo();
        command.args(["clippy", "--target", WASM_TARGET, "-p", "readywire", "--features", TICKETS]);
        for target in &targets {
            command.arg("--test").arg(target);
        }
        process::run(command.args(["--", "-D", "warnings"]))?;
    }
    Ok(Step::Done)
}

fn native_tests(_quick: bool) -> Outcome<Step> {
    done(process::cargo().args(["test", "--workspace", "--exclude", "readywire-js", "--features", TICKETS]))
}

fn alert_rules(_quick: bool) -> Outcome<Step> {
    alerts::test()?;
    Ok(Step::Done)
}

fn wasm_tests(_quick: bool) -> Outcome<Step> {
    let targets = browser_tests::test_targets(&workspace::root().join("sdk/client"));
    if targets.is_empty() {
        return Ok(Step::Skipped("sdk/client/tests/browser.rs"));
    }
    let mut command = process::cargo();
    command.args(["test", "-p", "readywire", "--features", TICKETS, "--target", WASM_TARGET]);
    for target in &targets {
        command.arg("--test").arg(target);
    }
    done(&mut command)
}

fn build_package(_quick: bool) -> Outcome<Step> {
    if !workspace::npm_package().join("package.json").is_file() {
        return Ok(Step::Skipped("sdk/js/package.json"));
    }
    package::build()?;
    Ok(Step::Done)
}

fn package_tests(_quick: bool) -> Outcome<Step> {
    if !workspace::npm_package().join("package.json").is_file() {
        return Ok(Step::Skipped("sdk/js/package.json"));
    }
    server::build()?;
    done(npm_test(&mut npm::npm(&workspace::npm_package())))
}

fn demo_tests(_quick: bool) -> Outcome<Step> {
    if !workspace::demo_page().join("package.json").is_file() {
        return Ok(Step::Skipped("web-demo/package.json"));
    }
    demo::build_page()?;
    server::build()?;
    done(npm_test(&mut npm::npm(&workspace::demo_page())))
}

fn conformance_suite(_quick: bool) -> Outcome<Step> {
    conformance::all()?;
    Ok(Step::Done)
}

fn broken_peers(_quick: bool) -> Outcome<Step> {
    done(&mut conformance::broken_peers(&[]))
}

/// The tests start servers of their own; this says where the binary is when it is not below `target`.
fn npm_test(command: &mut Command) -> &mut Command {
    command.arg("test").env("READYWIRE_SERVER", server::binary()).env("CI", "true")
}

fn done(command: &mut Command) -> Outcome<Step> {
    process::run(command)?;
    Ok(Step::Done)
}
