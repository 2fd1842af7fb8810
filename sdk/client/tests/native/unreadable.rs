//! What a server writes that is no message at all: the client still says why it goes.

use crate::server::{PATIENCE, eager};
use futures::{SinkExt, StreamExt};
use readywire::connect;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::Message;

#[expect(clippy::result_large_err, reason = "the library asks for it")]
pub(crate) fn select(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("readywire.v1"));
    Ok(response)
}

/// The last frame and the code of the close frame with which a client answers these bytes, behind ACCEPTED.
async fn last_words(bytes: &[u8]) -> (String, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let client = tokio::spawn(async move { connect(&url, eager()).await });
    let socket: TcpStream = listener.accept().await.unwrap().0;
    let mut stream = accept_hdr_async(socket, select).await.unwrap();
    stream.send(Message::text(r#"{"type":"stage","stage":"ACCEPTED","connection":"c"}"#)).await.unwrap();
    assert_eq!(stream.get_ref().try_write(bytes).unwrap(), bytes.len());
    let mut last = String::new();
    let code = loop {
        match timeout(PATIENCE, stream.next()).await.unwrap().expect("a close frame").unwrap() {
            Message::Text(text) => last = text.to_string(),
            Message::Close(frame) => break frame.expect("a code").code.into(),
            other => panic!("{other:?}"),
        }
    };
    client.abort();
    (last, code)
}

#[tokio::test]
async fn text_that_is_not_utf8() {
    let (bye, code) = last_words(&[0x81, 2, 0xC3, 0x28]).await;
    assert!(bye.starts_with(r#"{"type":"bye","code":4400,"#) && bye.contains(r#""clause":"frame.malformed""#), "{bye}");
    assert_eq!(code, 4400);
}

/// The header alone is enough: nobody waits for the rest.
#[tokio::test]
async fn a_message_beyond_what_is_read_at_all() {
    let length = ((64_u64 << 20) + 1).to_be_bytes();
    let (bye, code) = last_words(&[&[0x81, 127][..], &length].concat()).await;
    assert!(bye.starts_with(r#"{"type":"bye","code":4413,"#) && bye.contains(r#""clause":"frame.size""#), "{bye}");
    assert_eq!(code, 4413);
}
