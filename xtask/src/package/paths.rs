//! What the module may tell of the machine that built it: nothing. Panics carry the path of their source, so that each
//! path is given another beginning.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::{Outcome, process, workspace};

/// The variable that tells rustc how, and its value: what it was, and the new beginnings.
pub(crate) fn rustflags() -> (&'static str, OsString) {
    const ENCODED: &str = "CARGO_ENCODED_RUSTFLAGS";
    let mut flags = env::var_os(ENCODED).unwrap_or_else(|| {
        let flags = env::var("RUSTFLAGS").unwrap_or_default();
        flags.split_whitespace().collect::<Vec<_>>().join("\u{1f}").into()
    });
    // Of several that fit rustc takes the last, so that the longer ones stand behind.
    for (path, name) in machine_paths() {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(path);
        flags.push("=");
        flags.push(name);
    }
    (ENCODED, flags)
}

/// Fails if the module holds a path of this machine.
pub(crate) fn check(module: &Path) -> Outcome {
    let bytes = std::fs::read(module).map_err(|error| format!("{}: {error}", module.display()))?;
    for (path, _) in machine_paths() {
        let path = path.as_os_str().as_encoded_bytes();
        if bytes.windows(path.len()).any(|window| window == path) {
            return Err(format!("the module tells that it was built below {}", String::from_utf8_lossy(path)));
        }
    }
    Ok(())
}

/// Where sources of the module may lie, and how each place is to be called.
fn machine_paths() -> Vec<(PathBuf, &'static str)> {
    let mut paths = vec![(workspace::root(), "readywire")];
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    if let Some(home) = home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))) {
        let registry = home.join("registry/src");
        paths.push((home, "cargo"));
        let crates = std::fs::read_dir(&registry).into_iter().flatten().flatten();
        paths.extend(crates.map(|folder| (folder.path(), "crates")));
    }
    if let Some(sysroot) = process::read(process::program("rustc").args(["--print", "sysroot"])) {
        paths.push((PathBuf::from(sysroot), "rust"));
    }
    paths.retain(|(path, _)| path.components().count() > 1);
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_every_place_and_the_check_finds_each() {
        let (_, flags) = rustflags();
        let flags = flags.to_string_lossy().into_owned();
        let module = env::temp_dir().join(format!("readywire-paths-{}", std::process::id()));
        for (path, name) in machine_paths() {
            assert!(flags.contains(&format!("--remap-path-prefix={}={name}", path.display())), "{flags}");
            std::fs::write(&module, [b"\0asm", path.as_os_str().as_encoded_bytes(), b"/src"].concat()).unwrap();
            assert!(check(&module).is_err(), "{}", path.display());
        }
        std::fs::write(&module, b"\0asm crates/futures/src").unwrap();
        assert_eq!(check(&module), Ok(()));
        std::fs::remove_file(&module).unwrap();
    }
}
