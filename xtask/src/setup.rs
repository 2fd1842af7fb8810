//! Installing what is missing, and nothing that is there.

use std::path::Path;

use crate::workspace::{self, WASM_TARGET};
use crate::{Outcome, alerts, npm, process};

const CHROMIUM: &str = "/usr/bin/chromium";
/// Not whatever the PATH has: Debian's packages are for this one.
pub(crate) const PYTHON: &str = "/usr/bin/python3";
const CHROMEDRIVER: &str = "/usr/bin/chromedriver";

/// All of it, for the browser tests too.
pub(crate) fn everything() -> Outcome {
    rust_components()?;
    rust_target()?;
    wasm_bindgen()?;
    browser()?;
    firefox()?;
    python()?;
    alerts::install()?;
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
    debian_packages(&["chromium", "chromium-driver"]).map_err(|failure| format!("{failure}\nhelp: {by_hand}"))
}

/// Firefox, for the suite: it needs no driver.
pub(crate) fn firefox() -> Outcome {
    let there = |name: &&str| process::read(process::program(name).arg("--version")).is_some();
    if ["firefox", "firefox-esr"].iter().any(there) {
        return Ok(());
    }
    let by_hand = "install Firefox (Debian: `sudo apt-get install firefox-esr`)";
    if process::read(process::program("id").arg("-u")).as_deref() != Some("0") {
        return Err(format!("the suite judges the npm package in Firefox, too: {by_hand}"));
    }
    debian_packages(&["firefox-esr"]).map_err(|failure| format!("{failure}\nhelp: {by_hand}"))
}

/// The Python of the system, with what the suite's testees in Python stand on.
pub(crate) fn python() -> Outcome {
    let imports = "import fastapi, uvicorn, websockets";
    if process::read(process::program(PYTHON).args(["-c", imports])).is_some() {
        return Ok(());
    }
    let packages = ["python3", "python3-fastapi", "python3-uvicorn", "python3-websockets"];
    let by_hand = format!("install the packages `{}` (Debian: `sudo apt-get install …`)", packages.join("`, `"));
    if process::read(process::program("id").arg("-u")).as_deref() != Some("0") {
        return Err(format!("the testees in Python need {PYTHON}, and that `{imports}` works in it: {by_hand}"));
    }
    debian_packages(&packages).map_err(|failure| format!("{failure}\nhelp: {by_hand}"))
}

fn debian_packages(packages: &[&str]) -> Outcome {
    println!("installing {}", packages.join(" and "));
    let apt_get = |arguments: &[&str]| {
        process::run(process::program("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt_get(&["update", "-q"])?;
    apt_get(&[&["install", "-q", "-y", "--no-install-recommends"], packages].concat())
}

/// The npm packages of the SDK, of the demo page, and of the suite's server in JavaScript.
pub(crate) fn node_packages() -> Outcome {
    let folders = [workspace::npm_package(), workspace::demo_page(), workspace::node_server()];
    let folders: Vec<_> = folders.iter().filter(|folder| folder.join("package.json").is_file()).collect();
    if !folders.is_empty() && process::read(process::program("npm").arg("--version")).is_none() {
        return Err("the npm package and the demo page need Node.js 20 or later with npm: install it first".to_owned());
    }
    folders.into_iter().try_for_each(|folder| npm::install(folder))
}
