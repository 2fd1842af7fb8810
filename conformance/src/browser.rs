//! A testee that is a page.

use crate::command_line::Client;
use crate::testee::Testee;

/// A browser that was started.
#[derive(Debug)]
pub struct Browser;

/// Starts a browser.
pub async fn start(_options: &Client) -> Result<(Testee, Browser), String> {
    Err("not yet".to_owned())
}

impl Browser {
    /// Ends it.
    pub async fn stop(self, _testee: Testee) {}
}
