//! What cargo calls to run tests built for wasm32: a server beside them, then the browser.
//!
//! The test page is served from the folder of the tested package, so a test learns where the server is by
//! fetching `/.browser-test/server.json`: `{"url", "http", "token", "other_token"}`, the two tokens being of
//! the users `browser` and `other`. No rebuild is needed for another port.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::server::{self, Server};
use crate::{Outcome, process, setup, signals, workspace};

/// Below the tested package; it ignores itself in git.
const FOLDER: &str = ".browser-test";
const TOKEN_SECONDS: u32 = 60 * 60;

/// Runs one test binary; the first argument is its path.
pub(crate) fn run(arguments: &[String]) -> Outcome<ExitCode> {
    // Cargo starts a runner in the folder of the tested package.
    let package = std::env::current_dir().map_err(|error| format!("the current folder: {error}"))?;
    setup::wasm_bindgen()?;
    setup::browser()?;
    build_server_quietly()?;

    let folder = package.join(FOLDER);
    let _turn = take_turn(&folder)?;
    let server = Server::start(&["--listen", "127.0.0.1:0", "--faults"], |_| ())?;
    let _description = Description::write(&folder, &server)?;

    let mut tests = process::program(workspace::tool("wasm-bindgen-test-runner"));
    tests.args(arguments).current_dir(&package);
    // Set for us by cargo, and about us.
    tests.env("CARGO_MANIFEST_DIR", &package).env_remove("CARGO_MANIFEST_PATH");
    let mut child = tests.spawn().map_err(|error| process::cannot_start(&tests, &error))?;
    let forwarding = signals::forward_to(child.id());
    let status = child.wait().map_err(|error| format!("waiting for the browser tests: {error}"))?;
    drop(forwarding);
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Cheap when it is built already, and the tests never meet a server older than its source.
fn build_server_quietly() -> Outcome {
    let built = process::cargo().args(["build", "-q", "-p", "readywire-server"]).status();
    match built {
        Ok(status) if status.success() => Ok(()),
        _ => Err("the server for the browser tests does not build: `cargo build -p readywire-server`".to_owned()),
    }
}

/// One run at a time in a package, since the file has one name. The lock ends with the returned file.
fn take_turn(folder: &Path) -> Outcome<File> {
    let describe = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(describe)?;
    fs::write(folder.join(".gitignore"), "*\n").map_err(describe)?;
    let lock = File::create(folder.join("lock")).map_err(describe)?;
    lock.lock().map_err(describe)?;
    Ok(lock)
}

/// The file the tests fetch, gone when dropped.
#[derive(Debug)]
struct Description {
    path: PathBuf,
}

impl Description {
    fn write(folder: &Path, server: &Server) -> Outcome<Description> {
        let path = folder.join("server.json");
        // What a killed run left behind.
        let _ = fs::remove_file(&path);
        let address = server.address();
        let text = format!(
            "{{\"url\":\"ws://{address}/ws\",\"http\":\"http://{address}\",\"token\":\"{}\",\"other_token\":\"{}\"}}\n",
            server.token("browser", TOKEN_SECONDS)?,
            server.token("other", TOKEN_SECONDS)?,
        );
        server::write_private(&path, &text)?;
        Ok(Description { path })
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The test binaries of a package that run in a browser: `tests/browser*.rs`.
pub(crate) fn test_targets(package: &Path) -> Vec<OsString> {
    let mut targets: Vec<OsString> = fs::read_dir(package.join("tests"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_owned()))
        .filter(|name| name.to_string_lossy().starts_with("browser"))
        .collect();
    targets.sort();
    targets
}
