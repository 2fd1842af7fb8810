//! Installing what is missing, and nothing that is there.

use std::path::Path;

use crate::workspace::{self, WASM_TARGET};
use crate::{Outcome, npm, process};

const CHROMIUM: &str = "/usr/bin/chromium";
const CHROMEDRIVER: &str = "/usr/bin/chromedriver";

/// All of it, for the browser tests too.
pub(crate) fn everything() -> Outcome {
    rust_components()?;
    rust_target()?;
    wasm_bindgen()?;
    browser()?;
    node_packages()
}

/// rustfmt and clippy, which a minimal toolchain lacks.
pub(crate) fn rust_components() -> Outcome {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if process::read(process::cargo().args([subcommand, "--version"])).is_none() {
            process::run(process::program("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

/// The standard library for wasm32.
pub(crate) fn rust_target() -> Outcome {
    let libraries =
        process::read(process::program("rustc").args(["--print", "target-libdir", "--target", WASM_TARGET]));
    if libraries.is_some_and(|folder| Path::new(&folder).is_dir()) {
        return Ok(());
    }
    process::run(process::program("rustup").args(["target", "add", WASM_TARGET]))
        .map_err(|failure| format!("{failure}\nhelp: without rustup, install the {WASM_TARGET} target another way"))
}

/// The wasm-bindgen command-line tools, of exactly the version that the workspace pins.
pub(crate) fn wasm_bindgen() -> Outcome {
    let version = workspace::wasm_bindgen_version()?;
    let there = process::read(process::program(workspace::tool("wasm-bindgen")).arg("--version"))
        .is_some_and(|line| line.split_whitespace().last() == Some(version.as_str()));
    if there && workspace::tool("wasm-bindgen-test-runner").is_file() {
        return Ok(());
    }
    println!("installing wasm-bindgen-cli {version} below target/tools; this takes a few minutes, once");
    // Not --locked: the lock file of that release names crates that a registry mirror may not have yet.
    process::run(
        process::cargo()
            .args(["install", "wasm-bindgen-cli", "--force", "--version", &format!("={version}"), "--root"])
            .arg(workspace::tools()),
    )
}

/// Chromium and its driver, for the browser tests.
pub(crate) fn browser() -> Outcome {
    let own_driver = std::env::var_os("CHROMEDRIVER").filter(|path| path != CHROMEDRIVER);
    let driver = own_driver.as_deref().map_or(Path::new(CHROMEDRIVER), Path::new);
    if Path::new(CHROMIUM).exists() && driver.exists() {
        return Ok(());
    }
    let by_hand = "install the packages `chromium` and `chromium-driver` \
                   (Debian: `sudo apt-get install chromium chromium-driver`)";
    if process::read(process::program("id").arg("-u")).as_deref() != Some("0") {
        return Err(format!("the browser tests need {CHROMIUM} and {CHROMEDRIVER}: {by_hand}"));
    }
    println!("installing chromium and chromium-driver");
    let apt_get = |arguments: &[&str]| {
        process::run(process::program("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt_get(&["update", "-q"])
        .and_then(|()| apt_get(&["install", "-q", "-y", "--no-install-recommends", "chromium", "chromium-driver"]))
        .map_err(|failure| format!("{failure}\nhelp: {by_hand}"))
}

/// The npm packages of the SDK and of the demo page.
pub(crate) fn node_packages() -> Outcome {
    let folders = [workspace::npm_package(), workspace::demo_page()];
    let folders: Vec<_> = folders.iter().filter(|folder| folder.join("package.json").is_file()).collect();
    if !folders.is_empty() && process::read(process::program("npm").arg("--version")).is_none() {
        return Err("the npm package and the demo page need Node.js 20 or later with npm: install it first".to_owned());
    }
    folders.into_iter().try_for_each(|folder| npm::install(folder))
}
