//! A testee that is a page: the suite serves it, starts a browser without a window or a driver, and ends it.

mod profile;
mod server;

use crate::command_line;
use crate::testee::Testee;
use profile::Profile;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// A browser that was started.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    profile: Profile,
}

/// Serves the page, starts the browser, and waits for the page's hello.
///
/// # Errors
/// There is no such browser, or the page says no hello.
pub async fn start(options: &command_line::Client) -> Result<(Testee, Browser), String> {
    let kind = options.browser.ok_or("no browser")?;
    let page = options.page.clone().ok_or("give the folder of the page's testee: --page FOLDER")?;
    if !page.join("testee.js").is_file() {
        return Err(format!("{} holds no testee.js", page.display()));
    }
    let mut folders = vec![("page".to_owned(), page)];
    for served in &options.served {
        let (name, folder) = served.split_once('=').ok_or_else(|| format!("`{served}` is not NAME=FOLDER"))?;
        folders.push((name.to_owned(), PathBuf::from(folder)));
    }
    let (orders, waiting) = mpsc::unbounded_channel();
    let (sender, lines) = mpsc::unbounded_channel();
    let address = server::open(folders, waiting, sender).await?;
    let url = format!("http://{address}/{}", if options.worker { "?worker" } else { "" });
    let profile = Profile::new(kind)?;
    let path = match &options.browser_path {
        Some(path) => path.clone(),
        None => find(kind)?,
    };
    let child = Command::new(&path)
        .args(profile.arguments(kind))
        .arg(&url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Browsers talk a lot, about everything but the page.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", path.display()))?;
    let mut browser = Browser { child, profile };
    let hello = tokio::select! {
        hello = Testee::over(orders, lines) => hello,
        status = browser.child.wait() => {
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            Err(format!("{} ended before the page said hello ({status})", path.display()))
        }
    };
    match hello {
        Ok(testee) => Ok((testee, browser)),
        Err(error) => {
            browser.end().await;
            Err(format!("{url} in {}: {error}", path.display()))
        }
    }
}

impl Browser {
    /// Ends the browser, and removes what it has written.
    pub async fn stop(self, testee: Testee) {
        drop(testee);
        self.end().await;
    }

    async fn end(mut self) {
        let _ = self.child.kill().await;
        self.profile.remove().await;
    }
}

/// The browser's program, by its usual names.
fn find(kind: command_line::Browser) -> Result<PathBuf, String> {
    let names: &[&str] = match kind {
        command_line::Browser::Chromium => &["chromium", "chromium-browser", "google-chrome", "chrome"],
        command_line::Browser::Firefox => &["firefox", "firefox-esr"],
    };
    let folders: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let mut files = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.find(|file| file.is_file()).ok_or_else(|| {
        format!("there is no {} on the PATH: install it, or name its program with --browser-path", names[0])
    })
}
