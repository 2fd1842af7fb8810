//! Texts that break the rules of every frame, and the clause that each breaks. `MESSAGE` stands for a frame that is
//! right, up to the fields that the text adds.

/// What is wrong whoever reads it, wherever it stands.
pub(crate) fn texts() -> Vec<(String, u16, &'static str)> {
    let plain = [
        ("", "frame.malformed"),
        (" ", "frame.malformed"),
        ("hello", "frame.malformed"),
        ("null", "frame.malformed"),
        ("1", "frame.malformed"),
        ("\"ping\"", "frame.malformed"),
        ("[]", "frame.malformed"),
        (r#"[{"type":"ping","nonce":"7"}]"#, "frame.malformed"),
        ("{", "frame.malformed"),
        ("{}}", "frame.malformed"),
        (r#"{"type":"ping","nonce":"7"} {"type":"ping","nonce":"8"}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce":"7",}"#, "frame.malformed"),
        (r#"{"type":"ping" "nonce":"7"}"#, "frame.malformed"),
        (r#"{"type" "ping","nonce":"7"}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce"}"#, "frame.malformed"),
        (r#"{'type':'ping','nonce':'7'}"#, "frame.malformed"),
        (r#"{type:"ping"}"#, "frame.malformed"),
        ("\u{feff}{\"type\":\"ping\",\"nonce\":\"7\"}", "frame.malformed"),
        ("{\"type\":\"ping\",\"nonce\":\"\n\"}", "frame.malformed"),
        (r#"{"type":"ping","nonce":"\x37"}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce":"\ud800"}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce":"\udc00\ud800"}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce":"7","\ud83d":1}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce":"7","n":01}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce":"7","n":+1}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce":"7","n":.5}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce":"7","n":NaN}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce":"7","n":nul}"#, "frame.malformed"),
        (r#"{"type":"ping","nonce":"7"/*,*/}"#, "frame.malformed"),
        ("{}", "frame.field"),
        (r#"{"nonce":"7"}"#, "frame.field"),
        (r#"{"type":null}"#, "frame.field"),
        (r#"{"type":1}"#, "frame.field"),
        (r#"{"type":["ping"]}"#, "frame.field"),
        (r#"{"type":"ping"}"#, "frame.field"),
        (r#"{"type":"ping","nonce":null}"#, "frame.field"),
        (r#"{"type":"ping","nonce":7}"#, "frame.field"),
        (r#"{"type":"bye"}"#, "frame.field"),
        (r#"{"type":"bye","code":4200,"reason":{}}"#, "frame.field"),
        (r#"{"type":"bye","code":"4200"}"#, "frame.integer"),
        (r#"{"type":"bye","code":4200.0}"#, "frame.integer"),
        (r#"{"type":"bye","code":42e2}"#, "frame.integer"),
        (r#"{"type":"bye","code":-1}"#, "frame.integer"),
        (r#"{"type":"bye","code":9007199254740992}"#, "frame.integer"),
        (r#"{"type":"bye","code":18446744073709551616}"#, "frame.integer"),
        (r#"{"type":"bye","code":4200,"retry_after_ms":1e3}"#, "frame.integer"),
        (r#"{"type":"ping","type":"ping","nonce":"7"}"#, "frame.duplicate_key"),
        (r#"{"type":"ping","nonce":"7","t\u0079pe":"ping"}"#, "frame.duplicate_key"),
        (r#"{"type":"ping","nonce":"7","x":1,"x":1}"#, "frame.duplicate_key"),
        (r#"{"type":"pIng","nonce":"7"}"#, "frame.type"),
        (r#"{"type":"","nonce":"7"}"#, "frame.type"),
        (r#"{"type":"connection_init"}"#, "frame.type"),
        (r#"{"type":"ready\u0000"}"#, "frame.type"),
    ];
    let mut texts: Vec<_> = plain.into_iter().map(|(text, clause)| (text.to_owned(), 4400, clause)).collect();
    let nested =
        |depth: usize| format!(r#"{{"type":"ping","nonce":"7","x":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
    texts.push((nested(64), 4400, "frame.depth"));
    texts.push((nested(10_000), 4400, "frame.depth"));
    let members: String = (0..63).map(|index| format!(r#","x{index}":1"#)).collect();
    texts.push((format!(r#"{{"type":"ping","nonce":"7"{members}}}"#), 4400, "frame.malformed"));
    texts.push((format!(r#"{{"type":"{}"}}"#, "long ".repeat(3000)), 4400, "frame.type"));
    texts
}

/// What only looks wrong: a ping, each of them.
pub(crate) fn odd_pings() -> Vec<String> {
    let nested = format!(r#"{{"type":"ping","nonce":"7","x":{}1{}}}"#, "[".repeat(63), "]".repeat(63));
    let members: String = (0..62).map(|index| format!(r#","x{index}":1"#)).collect();
    vec![
        " \t\r\n{ \"nonce\" : \"7\" , \"type\" : \"ping\" } ".to_owned(),
        r#"{"t\u0079pe":"p\u0069ng","nonce":"7"}"#.to_owned(),
        r#"{"type":"ping","nonce":"7","x":{"a":1,"a":2},"y":"\ud800","z":1e999}"#.to_owned(),
        nested,
        format!(r#"{{"type":"ping","nonce":"7"{members}}}"#),
    ]
}
