//! Where things are.

use std::path::{Path, PathBuf};

use crate::Outcome;

/// The target every browser build uses.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo sets this when it runs us; what was compiled in serves a binary that was started directly.
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .filter(|folder| folder.join("src/workspace.rs").is_file())
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    own.parent().map(Path::to_path_buf).unwrap_or(own)
}

/// The npm package of the SDK.
pub(crate) fn npm_package() -> PathBuf {
    root().join("sdk/js")
}

/// The demo page.
pub(crate) fn demo_page() -> PathBuf {
    root().join("web-demo")
}

/// The server in JavaScript that the suite judges.
pub(crate) fn node_server() -> PathBuf {
    root().join("conformance/testees/node-server")
}

/// Where cargo builds to.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Where the tools of the project live: below `target`, never over a user's own.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}

/// A tool that `setup` installed.
pub(crate) fn tool(name: &str) -> PathBuf {
    tools().join("bin").join(name)
}

/// The version of wasm-bindgen that the workspace pins. Library and command-line tool must agree.
pub(crate) fn wasm_bindgen_version() -> Outcome<String> {
    let manifest = root().join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
    pinned_version(&text, "wasm-bindgen")
        .ok_or_else(|| "Cargo.toml does not pin wasm-bindgen: it needs `wasm-bindgen = \"=…\"`".to_owned())
}

/// The version in a line like `name = "=1.2.3"`.
fn pinned_version(manifest: &str, name: &str) -> Option<String> {
    manifest.lines().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.trim_start().strip_prefix('=')?;
        let version = value.trim_start().strip_prefix("\"=")?;
        version.split('"').next().map(|version| version.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_version_is_found_among_similar_names() {
        let manifest = "wasm-bindgen-futures = \"0.4\"\nwasm-bindgen = \"=0.2.130\" # pinned\n";
        assert_eq!(pinned_version(manifest, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(pinned_version("wasm-bindgen = \"0.2\"", "wasm-bindgen"), None);
    }

    #[test]
    fn the_workspace_pins_it() {
        assert!(wasm_bindgen_version().is_ok());
    }
}
