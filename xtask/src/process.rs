//! Running other programs: in the workspace, without standard input, failing in words.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Outcome, signals, workspace};

/// A program to run from the root of the workspace. It never waits for input.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // These describe xtask, not what is built next; some build scripts would be misled.
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    command
}

/// Runs with its output shown, and fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = spell(command);
    println!("  $ {line}");
    let mut child = command.spawn().map_err(|error| cannot_start(command, &error))?;
    let watch = signals::forward_to(child.id());
    let status = child.wait().map_err(|error| format!("`{line}`: {error}"))?;
    drop(watch);
    if signals::asked_to_stop() {
        return Err("interrupted".to_owned());
    }
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

/// Runs with its output shown, and gives back its exit code.
pub(crate) fn code(command: &mut Command) -> Outcome<u8> {
    let mut child = command.spawn().map_err(|error| cannot_start(command, &error))?;
    let watch = signals::forward_to(child.id());
    let status = child.wait().map_err(|error| format!("`{}`: {error}", spell(command)))?;
    drop(watch);
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Runs quietly and gives back what was printed to standard output, or nothing when it is absent or fails.
pub(crate) fn read(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Says why a program could not be started.
pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", command.get_program().to_string_lossy())
}

/// The command as a person would type it at the root of the workspace.
fn spell(command: &Command) -> String {
    let root = workspace::root();
    let short = |word: &OsStr| {
        let path = Path::new(word);
        let word = path.strip_prefix(&root).unwrap_or(path).to_string_lossy().into_owned();
        if word.contains(' ') { format!("'{word}'") } else { word }
    };
    let program = Path::new(command.get_program());
    // The absolute path of cargo says nothing to the reader.
    let name = match program.file_name() {
        Some(name) if name == "cargo" => "cargo".to_owned(),
        _ => short(command.get_program()),
    };
    let line: Vec<String> = std::iter::once(name).chain(command.get_args().map(short)).collect();
    match command.get_current_dir().and_then(|folder| folder.strip_prefix(&root).ok()) {
        Some(folder) if folder != Path::new("") => {
            format!("cd {} && {}", folder.display(), line.join(" "))
        }
        _ => line.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_spelled_to_be_typed_again() {
        let mut command = program("npm");
        command.arg("test").current_dir(workspace::npm_package());
        assert_eq!(spell(&command), "cd sdk/js && npm test");
        let mut command = program(workspace::root().join("target/tools/bin/wasm-bindgen"));
        command.arg("a b");
        assert_eq!(spell(&command), "target/tools/bin/wasm-bindgen 'a b'");
    }

    #[test]
    fn failure_names_the_command() {
        assert!(run(&mut program("false")).unwrap_err().contains("false"));
        assert!(run(&mut program("no-such-program-here")).unwrap_err().contains("no-such-program-here"));
    }
}
