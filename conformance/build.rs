//! The cases are built in, and a change of theirs has to be noticed.

fn main() {
    println!("cargo:rerun-if-changed=cases");
}
