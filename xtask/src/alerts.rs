//! The alert rules of the server: checked and tested by Prometheus' own tool.

use std::fs;
use std::path::PathBuf;

use crate::{Outcome, process, workspace};

const FOLDER: &str = "server-ref/monitoring";

/// Checks the rules, and plays their tests.
pub(crate) fn test() -> Outcome {
    let promtool = promtool().ok_or("there is no promtool: `cargo xtask setup` fetches it")?;
    let rules = format!("{FOLDER}/alerts.yml");
    process::run(process::program(&promtool).args(["check", "rules", &rules]))?;
    let tests = format!("{FOLDER}/alerts.test.yml");
    process::run(process::program(&promtool).args(["test", "rules", &tests]))
}

/// Fetches promtool below target/tools, unless the system has one. Debian's package would also start a Prometheus:
/// only the one program is taken out of it.
pub(crate) fn install() -> Outcome {
    if promtool().is_some() {
        return Ok(());
    }
    let by_hand = "install promtool, a part of Prometheus, on the PATH";
    fetch().map_err(|failure| format!("the alert rules are tested by promtool: {failure}\nhelp: {by_hand}"))
}

fn promtool() -> Option<PathBuf> {
    let works = |path: &PathBuf| process::read(process::program(path).arg("--version")).is_some();
    ["promtool".into(), workspace::tool("promtool")].into_iter().find(works)
}

fn fetch() -> Outcome {
    println!("fetching promtool below target/tools");
    let folder = workspace::tools().join("prometheus");
    let made = |result: std::io::Result<()>| result.map_err(|error| format!("{}: {error}", folder.display()));
    made(fs::create_dir_all(&folder))?;
    if process::read(process::program("id").arg("-u")).as_deref() == Some("0") {
        process::run(process::program("apt-get").args(["update", "-q"]))?;
    }
    process::run(process::program("apt-get").args(["download", "-q", "prometheus"]).current_dir(&folder))?;
    let package = fs::read_dir(&folder).ok().into_iter().flatten().flatten().map(|entry| entry.path());
    let package = package.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).last();
    let package = package.ok_or("apt-get left no package behind")?;
    process::run(process::program("dpkg-deb").arg("-x").arg(&package).arg(&folder))?;
    made(fs::create_dir_all(workspace::tools().join("bin")))?;
    made(fs::rename(folder.join("usr/bin/promtool"), workspace::tool("promtool")))?;
    made(fs::remove_dir_all(&folder))
}
