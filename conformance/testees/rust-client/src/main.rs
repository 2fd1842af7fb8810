//! The Rust SDK as a testee: orders on standard input, reports on standard output, one JSON object in each line.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() {
    let (reports, mut lines) = mpsc::unbounded_channel::<String>();
    let (sender, orders) = mpsc::unbounded_channel();
    readywire_testee::report_logs(reports.clone());
    tokio::spawn(async move {
        let mut input = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = input.next_line().await {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        let mut output = tokio::io::stdout();
        while let Some(line) = lines.recv().await {
            if output.write_all(format!("{line}\n").as_bytes()).await.is_err() || output.flush().await.is_err() {
                return;
            }
        }
    });
    readywire_testee::serve(orders, reports).await;
}
