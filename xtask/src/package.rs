//! The npm package: wasm, glue, TypeScript, and what all that weighs.

mod glue;
mod paths;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::workspace::{self, WASM_TARGET};
use crate::{Outcome, npm, process};

/// What a page may have to load for the main entry with every level, compressed with gzip. Core, Resume and Answers alone
/// took 40 of these KiB; the rest is what came to them.
const GZIP_BUDGET: u64 = 64 * 1024;

/// Prints raw, gzip and brotli size of each file it is given, one line each.
const MEASURE: &str = "\
const { readFileSync } = require('node:fs');
const { gzipSync, brotliCompressSync } = require('node:zlib');
for (const path of process.argv.slice(1)) {
  const bytes = readFileSync(path);
  console.log(bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes).length);
}";

/// Builds the package and holds it to its budget.
pub(crate) fn build() -> Outcome {
    let package = workspace::npm_package();
    if !package.join("package.json").is_file() {
        return Err("sdk/js/package.json is not there".to_owned());
    }
    let (variable, flags) = paths::rustflags();
    process::run(
        process::cargo()
            .args(["build", "-p", "readywire-js", "--profile", "wasm-release", "--target", WASM_TARGET])
            .env(variable, flags),
    )?;
    let module = bind(&package)?;
    optimise(&package, &module)?;
    paths::check(&module)?;
    process::run(npm::npm(&package).args(["run", "build"]))?;
    weigh(&package, &module)
}

/// Generates the glue and gives back the module beside it. The loader is ours: the generated one for pages is larger than
/// all that is left of the glue.
fn bind(package: &Path) -> Outcome<PathBuf> {
    let built = workspace::target().join(WASM_TARGET).join("wasm-release/readywire_js.wasm");
    let out = package.join("dist/wasm");
    process::run(
        process::program(workspace::tool("wasm-bindgen"))
            .args(["--target", "bundler", "--remove-name-section", "--remove-producers-section"])
            .args(["--out-name", "readywire", "--out-dir"])
            .args([&out, &built]),
    )?;
    Ok(out.join("readywire_bg.wasm"))
}

fn optimise(package: &Path, module: &Path) -> Outcome {
    let tool = package.join("node_modules/.bin/wasm-opt");
    if !tool.exists() {
        return Err("sdk/js has no wasm-opt: `binaryen` belongs into its devDependencies".to_owned());
    }
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    // Files of their own first: an interrupted run must not leave half a module.
    let smaller = module.with_extension("optimised");
    let names = workspace::target().join("size/names.json");
    fs::create_dir_all(names.with_file_name("")).map_err(|error| at(&names, error))?;
    process::run(
        process::program(tool)
            // Loops built anew from the flow of control, then optimised twice: a hundredth smaller.
            .args(["--flatten", "--rereloop", "-Oz", "-Oz", "--minify-imports-and-exports-and-modules"])
            .args([module, Path::new("-o"), &smaller])
            .stdout(File::create(&names).map_err(|error| at(&names, error))?),
    )?;
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| at(path, error));
    let glue = glue::fit(&read(&module.with_extension("js"))?, &read(&names)?)?;
    let fitted = module.with_file_name("readywire.js");
    fs::write(&fitted, glue).map_err(|error| at(&fitted, error))?;
    fs::rename(&smaller, module).map_err(|error| at(module, error))
}

/// One measured file.
#[derive(Debug, PartialEq, Eq)]
struct Size {
    raw: u64,
    gzip: u64,
    brotli: u64,
}

/// Prints the sizes and fails when the main entry is over budget.
fn weigh(package: &Path, module: &Path) -> Outcome {
    let glue = minify(package, &module.with_file_name("readywire.js"), "glue.js")?;
    // The main entry holds the glue and the TypeScript over it. A page loads what it imports of that, and bundlers leave
    // the rest out: what counts is a page that calls `connect`.
    let entry = package.join("dist/index.js");
    let entry = if entry.is_file() {
        let page = workspace::target().join("size/page.js");
        let import = format!("export {{ connect }} from {:?};\n", entry.display().to_string());
        fs::write(&page, import).map_err(|error| format!("{}: {error}", page.display()))?;
        Some(minify(package, &page, "entry.js")?)
    } else {
        None
    };
    let files: Vec<&Path> = [Some(module), Some(glue.as_path()), entry.as_deref()].into_iter().flatten().collect();
    let sizes = measure(&files)?;

    println!("\n  {:<38}{:>10}{:>10}{:>10}", "bytes", "raw", "gzip -9", "brotli");
    let row = |name: &str, size: &Size| {
        println!("  {name:<38}{:>10}{:>10}{:>10}", size.raw, size.gzip, size.brotli);
    };
    let mut total = sum(&sizes[0], &sizes[1]);
    row("wasm", &sizes[0]);
    row("glue, minified", &sizes[1]);
    row("wasm and glue", &total);
    if let Some(entry) = sizes.get(2) {
        row("`connect` with its glue, minified", entry);
        total = sum(&sizes[0], entry);
        row("wasm and `connect`", &total);
    }
    println!("  budget: {GZIP_BUDGET} bytes of gzip, {} used\n", total.gzip);
    if total.gzip > GZIP_BUDGET {
        return Err(format!("the package is {} bytes over its budget", total.gzip - GZIP_BUDGET));
    }
    Ok(())
}

fn sum(one: &Size, other: &Size) -> Size {
    Size { raw: one.raw + other.raw, gzip: one.gzip + other.gzip, brotli: one.brotli + other.brotli }
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

fn measure(files: &[&Path]) -> Outcome<Vec<Size>> {
    let printed = process::read(process::program("node").args(["-e", MEASURE]).args(files))
        .ok_or("node could not measure the package")?;
    let sizes: Vec<Size> = printed.lines().filter_map(parse_size).collect();
    if sizes.len() == files.len() { Ok(sizes) } else { Err(format!("unexpected sizes: {printed}")) }
}

fn parse_size(line: &str) -> Option<Size> {
    let mut numbers = line.split_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Size { raw: next()?, gzip: next()?, brotli: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_added() {
        let size = parse_size("10 5 4").unwrap();
        assert_eq!(sum(&size, &size), Size { raw: 20, gzip: 10, brotli: 8 });
        assert_eq!(parse_size("10 5"), None);
        assert_eq!(parse_size("a b c"), None);
    }
}
