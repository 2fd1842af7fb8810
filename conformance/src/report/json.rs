//! The report for programs.

use super::run::Run;

/// One run as JSON.
///
/// # Errors
/// There is nothing in a run that JSON cannot say.
pub fn write(run: &Run) -> Result<String, String> {
    let text = serde_json::to_string_pretty(run).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// The run that this JSON is of.
///
/// # Errors
/// It is no JSON, or of something else.
pub fn read(text: &str) -> Result<Run, String> {
    serde_json::from_str(text).map_err(|error| format!("this is no report by --json: {error}"))
}
