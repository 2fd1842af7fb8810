//! The npm package: wasm, glue, TypeScript, and what all that weighs.

mod glue;
mod measure;
mod module;
mod paths;
mod sizes;

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Outcome, npm, process, workspace};
pub(crate) use sizes::run as sizes;

/// An entry of the package that pages import, and the module that it brings along.
struct Entry {
    /// What it is imported as.
    import: &'static str,
    /// The script, below `dist`.
    script: &'static str,
    /// The module and its glue, below `dist/wasm`.
    module: &'static str,
    capabilities: &'static [&'static str],
    /// What a page that calls its `connect` may have to load, in bytes of gzip.
    budget: u64,
}

const ENTRIES: [Entry; 2] = [
    Entry {
        import: "readywire",
        script: "index.js",
        module: "readywire",
        capabilities: &module::CAPABILITIES,
        budget: 66 * 1024,
    },
    // Core, Resume and Answers alone: 45 KiB is the aim, and not reached again yet.
    Entry { import: "readywire/core", script: "core.js", module: "core", capabilities: &[], budget: 47 * 1024 },
];

/// Builds the package and holds it to its budgets.
pub(crate) fn build() -> Outcome {
    let package = package()?;
    let dist = package.join("dist");
    let mut modules = Vec::new();
    for entry in &ENTRIES {
        modules.push(module::build(&package, entry.module, entry.capabilities, &dist.join("wasm"))?);
    }
    process::run(npm::npm(&package).args(["run", "build"]))?;
    let mut over = Vec::new();
    for (entry, module) in ENTRIES.iter().zip(&modules) {
        over.extend(weigh(&package, entry, module)?);
    }
    if over.is_empty() { Ok(()) } else { Err(over.join("; ")) }
}

/// Where the package is.
fn package() -> Outcome<PathBuf> {
    let package = workspace::npm_package();
    if package.join("package.json").is_file() {
        Ok(package)
    } else {
        Err("sdk/js/package.json is not there".to_owned())
    }
}

/// Prints what a page has to load for an entry, and gives back a complaint if that is over its budget.
fn weigh(package: &Path, entry: &Entry, module: &Path) -> Outcome<Option<String>> {
    let script = package.join("dist").join(entry.script);
    // A page loads what it imports, and bundlers leave the rest out: what counts is a page that calls `connect`.
    let page = workspace::target().join("size/page.js");
    let import = format!("export {{ connect }} from {:?};\n", script.display().to_string());
    fs::write(&page, import).map_err(|error| format!("{}: {error}", page.display()))?;
    let script = minify(package, &page, entry.script)?;
    let sizes = measure::files(&[module, &script])?;
    let total = sizes[0].and(&sizes[1]);

    println!("\n  {:<38}{:>10}{:>10}{:>10}", "bytes", "raw", "gzip -9", "brotli");
    let rows = [("wasm".to_owned(), &sizes[0]), ("`connect`, minified".to_owned(), &sizes[1])];
    for (name, size) in rows.into_iter().chain([(format!("`connect` from \"{}\"", entry.import), &total)]) {
        println!("  {name:<38}{:>10}{:>10}{:>10}", size.raw, size.gzip, size.brotli);
    }
    println!("  budget: {} bytes of gzip, {} used\n", entry.budget, total.gzip);
    let excess = total.gzip.saturating_sub(entry.budget);
    Ok((excess > 0).then(|| format!("\"{}\" is {excess} bytes over its budget", entry.import)))
}

/// Bundles and minifies as a page's own build would.
fn minify(package: &Path, script: &Path, name: &str) -> Outcome<PathBuf> {
    let tool = package.join("node_modules/.bin/esbuild");
    if !tool.exists() {
        return Err("sdk/js has no esbuild to minify with: it belongs into its devDependencies".to_owned());
    }
    let minified = workspace::target().join("size").join(name);
    process::run(
        process::program(tool)
            .args(["--bundle", "--minify", "--format=esm", "--platform=browser", "--external:node:*"])
            .args(["--log-level=warning", &format!("--outfile={}", minified.display())])
            .arg(script),
    )?;
    Ok(minified)
}
