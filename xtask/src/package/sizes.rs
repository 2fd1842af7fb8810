//! What each capability takes to load: `cargo xtask sizes`.

use std::fs;

use super::measure::{self, Size};
use super::module::{self, CAPABILITIES};
use crate::{Outcome, workspace};

/// Builds a module for each capability, beside one with none and one with all, and prints what it adds.
pub(crate) fn run() -> Outcome {
    let package = super::package()?;
    let folder = workspace::target().join("size/modules");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut rows: Vec<(String, Size)> = Vec::new();
    let alone = CAPABILITIES.iter().map(|capability| (format!("and {capability}"), vec![*capability]));
    let builds: Vec<(String, Vec<&str>)> = [("Core, Resume, Answers".to_owned(), Vec::new())]
        .into_iter()
        .chain(alone)
        .chain([("all of it".to_owned(), CAPABILITIES.to_vec())])
        .collect();
    let number = builds.len();
    for (index, (name, capabilities)) in builds.into_iter().enumerate() {
        println!("\n== {}/{number} {name}", index + 1);
        let module = module::build(&package, "module", &capabilities, &folder)?;
        rows.extend(measure::files(&[&module])?.into_iter().map(|size| (name.clone(), size)));
    }
    println!("\n  {:<24}{:>10}{:>10}{:>10}{:>12}", "wasm, in bytes", "raw", "gzip -9", "brotli", "more gzip");
    let least = rows.first().map_or(0, |(_, size)| size.gzip);
    for (name, size) in &rows {
        let more = size.gzip.saturating_sub(least);
        println!("  {name:<24}{:>10}{:>10}{:>10}{more:>12}", size.raw, size.gzip, size.brotli);
    }
    println!("\n  What a page loads is the module and its script: `cargo xtask package` weighs both.\n");
    Ok(())
}
