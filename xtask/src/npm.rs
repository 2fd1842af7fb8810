//! npm packages.

use std::path::Path;
use std::process::Command;

use crate::{Outcome, process};

/// Marks a `node_modules` with what it was installed from.
const STAMP: &str = "node_modules/.installed-from";

/// `npm` in a folder, asking nothing and fetching no browser.
pub(crate) fn npm(folder: &Path) -> Command {
    let mut command = process::program("npm");
    command
        .current_dir(folder)
        .env("npm_config_yes", "true")
        .env("npm_config_fund", "false")
        .env("npm_config_audit", "false")
        .env("npm_config_update_notifier", "false")
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    command
}

/// Installs the packages of a folder when its manifest or lock file differs from what was installed.
pub(crate) fn install(folder: &Path) -> Outcome {
    if std::fs::read(folder.join(STAMP)).ok().as_ref() == Some(&manifests(folder)) {
        return Ok(());
    }
    let how = if folder.join("package-lock.json").is_file() { "ci" } else { "install" };
    process::run(npm(folder).arg(how))?;
    // A folder without any dependency gets no node_modules from npm.
    std::fs::create_dir_all(folder.join("node_modules"))
        .and_then(|()| std::fs::write(folder.join(STAMP), manifests(folder)))
        .map_err(|error| format!("{}: {error}", folder.join(STAMP).display()))
}

/// The texts, not the times: a checkout touches files without changing them.
fn manifests(folder: &Path) -> Vec<u8> {
    ["package.json", "package-lock.json"]
        .iter()
        .flat_map(|name| std::fs::read(folder.join(name)).unwrap_or_default())
        .collect()
}
