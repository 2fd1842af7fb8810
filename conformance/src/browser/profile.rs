//! A profile that nobody has used before, and nobody uses again.

use crate::command_line::Browser;
use std::path::PathBuf;
use std::time::Duration;

/// A folder for what a browser writes.
#[derive(Debug)]
pub(super) struct Profile {
    folder: PathBuf,
}

/// Firefox asks and updates less with these, and does not wait before it lets a page connect again after a failure.
const FIREFOX: &str = r#"user_pref("app.update.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.websocket.delay-failed-reconnects", false);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
"#;

impl Profile {
    pub(super) fn new(browser: Browser) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("readywire-conformance-{}", std::process::id()));
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        if browser == Browser::Firefox {
            std::fs::write(folder.join("user.js"), FIREFOX).map_err(failed)?;
        }
        Ok(Self { folder })
    }

    /// What to start the browser with.
    pub(super) fn arguments(&self, browser: Browser) -> Vec<String> {
        let folder = self.folder.display();
        match browser {
            Browser::Chromium => [
                "--headless=new",
                // Whoever runs this in a container is root there; the page is the one that is tested.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-background-timer-throttling",
                "--disable-renderer-backgrounding",
                "--no-default-browser-check",
                "--no-first-run",
                &format!("--user-data-dir={folder}"),
            ]
            .map(str::to_owned)
            .to_vec(),
            Browser::Firefox => ["--headless", "--no-remote", "--new-instance", "--profile", &folder.to_string()]
                .map(str::to_owned)
                .to_vec(),
        }
    }

    /// Removes the folder. The last of the browser's processes may be writing still.
    pub(super) async fn remove(&mut self) {
        for _ in 0..20 {
            if std::fs::remove_dir_all(&self.folder).is_ok() || !self.folder.exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        eprintln!("cannot remove {}", self.folder.display());
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // Interrupted: as much as can be done without waiting.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
