//! The glue between the module and its page, as wasm-bindgen writes it for bundlers, made to fit the module that
//! wasm-opt has left: the same short names on both sides, and no loader but our own.

use std::collections::BTreeMap;

use crate::Outcome;

/// Rewrites the glue. `names` is what wasm-opt prints of the names that it gave: `["module", "name", "short"]` for each
/// import, `["name", "short"]` for each export.
pub(crate) fn fit(glue: &str, names: &str) -> Outcome<String> {
    let names: Vec<Vec<&str>> = names.lines().map(|line| line.split('"').skip(1).step_by(2).collect()).collect();
    let mut exports = BTreeMap::new();
    let mut imports = String::new();
    let mut glue = glue.to_owned();
    for name in &names {
        match name[..] {
            [_, name, short] => {
                glue = once(&glue, &format!("export function {name}("), &format!("function {name}("))?;
                imports.push_str(&format!("    {short}: {name},\n"));
            }
            [name, short] => drop(exports.insert(name, short)),
            _ => {}
        }
    }
    if imports.is_empty() {
        return Err("wasm-opt did not print the names of the imports".to_owned());
    }
    // Set by `start` below instead, so that nothing else has to know the short names.
    let glue = once(&glue, "export function __wbg_set_wasm(val) {\n    wasm = val;\n}\n", "")?;
    let start = exports.get("__wbindgen_start").ok_or("the module does not export `__wbindgen_start`")?;
    let mut fitted = String::from("// Written by `cargo xtask package`.\n");
    let mut parts = glue.split("wasm.");
    fitted.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let short = exports.get(name).ok_or_else(|| format!("the module does not export `{name}`"))?;
        fitted.push_str(&format!("wasm.{short}{rest}"));
    }
    // The module is renamed as well: there is only one.
    fitted.push_str(&format!(
        "\nexport const imports = {{ a: {{\n{imports}}} }};\n\n\
         export function start(exports) {{\n    wasm = exports;\n    wasm.{start}();\n}}\n"
    ));
    Ok(fitted)
}

fn once(text: &str, old: &str, new: &str) -> Outcome<String> {
    match text.matches(old).count() {
        1 => Ok(text.replacen(old, new, 1)),
        found => Err(format!("the glue has `{}` {found} times: another version of wasm-bindgen?", old.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::fit;

    const GLUE: &str = "\
export class RawClient {
    free() {
        wasm.free_it(wasm.memory, wasm.free);
    }
}
export function __wbg_now_1() {
    return now();
}
let wasm;
export function __wbg_set_wasm(val) {
    wasm = val;
}
";
    const NAMES: &str = r#"{
 "imports": [
  ["./readywire_bg.js", "__wbg_now_1", "a"]
 ],
"exports": [
  ["memory", "b"],
  ["free", "c"],
  ["free_it", "d"],
  ["__wbindgen_start", "e"]
 ]
}"#;

    #[test]
    fn both_sides_have_the_same_names() {
        let fitted = fit(GLUE, NAMES).unwrap();
        assert!(fitted.contains("wasm.d(wasm.b, wasm.c);"), "{fitted}");
        assert!(fitted.contains("\nfunction __wbg_now_1() {"), "{fitted}");
        assert!(fitted.contains("export const imports = { a: {\n    a: __wbg_now_1,\n} };"), "{fitted}");
        assert!(fitted.contains("wasm = exports;\n    wasm.e();"), "{fitted}");
        assert!(!fitted.contains("__wbg_set_wasm"), "{fitted}");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(fit(GLUE, "{}").is_err());
        assert!(fit(&GLUE.replace("__wbg_now_1", "__wbg_now_2"), NAMES).unwrap_err().contains("__wbg_now_1"));
        assert!(fit(&GLUE.replace("wasm.free_it", "wasm.other"), NAMES).unwrap_err().contains("`other`"));
        assert!(fit(&GLUE.replace("val", "value"), NAMES).unwrap_err().contains("__wbg_set_wasm"));
    }
}
