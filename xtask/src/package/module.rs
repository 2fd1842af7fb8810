//! One wasm module of the package: compiled, bound to its page, made small.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{glue, paths};
use crate::workspace::{self, WASM_TARGET};
use crate::{Outcome, process};

/// What a page can do beyond Core, Resume and Answers: each is a feature of `readywire-js`.
pub(super) const CAPABILITIES: [&str; 7] = ["topics", "refresh", "binary", "streams", "questions", "carry", "existing"];

/// Builds the module that has these capabilities, and puts it and its glue into `folder`: `<name>_bg.wasm` and `<name>.js`.
pub(super) fn build(package: &Path, name: &str, capabilities: &[&str], folder: &Path) -> Outcome<PathBuf> {
    let (variable, flags) = paths::rustflags();
    process::run(
        process::cargo()
            .args(["build", "-p", "readywire-js", "--profile", "wasm-release", "--target", WASM_TARGET])
            .args(["--no-default-features", "--features", &capabilities.join(",")])
            .env(variable, flags),
    )?;
    let module = bind(name, folder)?;
    optimise(package, &module, &folder.join(format!("{name}.js")))?;
    paths::check(&module)?;
    Ok(module)
}

/// Generates the glue and gives back the module beside it. The loader is ours: the generated one for pages is larger than
/// all that is left of the glue.
fn bind(name: &str, folder: &Path) -> Outcome<PathBuf> {
    let built = workspace::target().join(WASM_TARGET).join("wasm-release/readywire_js.wasm");
    process::run(
        process::program(workspace::tool("wasm-bindgen"))
            .args(["--target", "bundler", "--remove-producers-section", "--out-name", name, "--out-dir"])
            .args([folder, &built]),
    )?;
    Ok(folder.join(format!("{name}_bg.wasm")))
}

fn optimise(package: &Path, module: &Path, fitted: &Path) -> Outcome {
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
            // Loops built anew from the flow of control, then optimised twice: a hundredth smaller. Functions of one kind
            // beside each other: that compresses better. Names have done their work by then.
            .args(["--flatten", "--rereloop", "-Oz", "-Oz", "--reorder-functions-by-name"])
            // Nothing lies in the first 1024 bytes but the far end of the stack, so no address is computed by wrapping around
            // them. And what is called once stays a function of its own, if it is not small: that compresses better.
            .args(["--low-memory-unused", "--one-caller-inline-max-function-size=15"])
            .arg("--always-inline-max-function-size=4")
            .args(["--strip-debug", "--strip-producers", "--strip-target-features"])
            .arg("--minify-imports-and-exports-and-modules")
            .args([module, Path::new("-o"), &smaller])
            .stdout(File::create(&names).map_err(|error| at(&names, error))?),
    )?;
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| at(path, error));
    // As wasm-bindgen calls it, for its target.
    let glue = glue::fit(&read(&module.with_extension("js"))?, &read(&names)?)?;
    fs::write(fitted, glue).map_err(|error| at(fitted, error))?;
    fs::rename(&smaller, module).map_err(|error| at(module, error))
}
