//! The demo: everything built, the server running, one address to open.

use crate::server::{self, Server};
use crate::{Outcome, npm, package, process, setup, signals, workspace};

/// How long the token in the printed address lasts.
const TOKEN_SECONDS: u32 = 12 * 60 * 60;

/// Runs the demo until it is interrupted.
pub(crate) fn run(port: u16) -> Outcome {
    heading("setting up");
    setup::rust_target()?;
    setup::wasm_bindgen()?;
    setup::node_packages()?;
    heading("building the npm package");
    package::build()?;
    heading("building the page");
    build_page()?;
    heading("building the server");
    server::build()?;

    let page = workspace::demo_page().join("dist");
    let (page, listen) = (page.to_string_lossy(), format!("127.0.0.1:{port}"));
    let arguments = ["--faults", "--web-root", &*page, "--listen", &listen];
    let mut server = Server::start(&arguments, |line| println!("{line}"))
        .map_err(|failure| format!("{failure}\nhelp: if port {port} is taken, try `cargo xtask demo --port 0`"))?;
    let token = server.token("demo", TOKEN_SECONDS)?;
    // Behind `#`, since that part of an address is never sent and so gets into no log.
    println!("\nopen http://{}/#token={token}\n\nCtrl-C stops the server.", server.address());
    let status = server.wait()?;
    if status.success() || signals::asked_to_stop() {
        println!("stopped");
        Ok(())
    } else {
        Err(format!("the server failed ({status})"))
    }
}

/// Builds the page with Vite, as its own package says.
pub(crate) fn build_page() -> Outcome {
    process::run(npm::npm(&workspace::demo_page()).args(["run", "build"]))
}

fn heading(text: &str) {
    println!("\n== {text}");
}
