"""Frames of the Readywire protocol as a client reads them: strictly, or not at all.

`parse` takes one text message and gives its members; whatever breaks a rule raises `Breach`.
"""

import json
import re
from json.decoder import scanstring

MAX_DEPTH = 64
MAX_MEMBERS = 64


class Breach(Exception):
    """The other end broke a clause; `code` is what the connection ends with."""

    def __init__(self, code, clause, found):
        super().__init__(f"{clause}: {found}")
        self.code, self.clause = code, clause


def parse(data):
    """The frame in the bytes of one text message, as a dict; `payload` stays JSON text, as it was written."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Breach(4400, "frame.malformed", "no UTF-8") from None
    if _depth(text) > MAX_DEPTH:
        raise Breach(4400, "frame.depth", f"nested deeper than {MAX_DEPTH}")
    try:
        triples = list(members(text))
    except (ValueError, RecursionError):
        raise Breach(4400, "frame.malformed", "no JSON object") from None
    found = _unique([(key, value) for key, value, _ in triples], "the frame")
    kind = found.get("type")
    if not isinstance(kind, str):
        raise Breach(4400, "frame.type" if kind is None else "frame.field", "no type")
    if kind in OF_CLIENTS:
        raise Breach(4400, "frame.direction", f"`{kind}` from the server")
    if kind not in SHAPES:
        raise Breach(4400, "frame.type", "unknown type")
    frame = _object(found, SHAPES[kind], kind)
    texts = {key: source for key, _, source in triples}
    return {**frame, "type": kind, "payload": texts.get("payload", "null")}


def members(text):
    """Each member of the object that `text` is: key, value, and the text of the value."""
    at = _expect(text, 0, "{")
    if text[at : at + 1] == "}":
        at = _expect(text, at, "}")
    else:
        while True:
            _expect(text, at, '"')
            key, at = scanstring(text, at + 1, True)
            at = _expect(text, at, ":")
            value, end = _DECODER.raw_decode(text, at)
            yield key, value, text[at:end]
            at = _space(text, end)
            if text[at : at + 1] != ",":
                break
            at = _space(text, at + 1)
        at = _expect(text, at, "}")
    if at != len(text):
        raise ValueError("more than one object")


TEXT, INTEGER, FLAG = "a string", "an integer", "true or false"

_REFUSAL = {
    "id": INTEGER, "code": TEXT, "message?": TEXT, "retry?": FLAG, "retry_after_ms?": INTEGER, "service?": TEXT,
}  # fmt: skip
_ERROR = {"code": TEXT, "message?": TEXT}

# What a server may send. A list stands for an array of its element, a "?" for a member that may be absent.
SHAPES = {
    "stage": {
        "stage": TEXT, "connection?": TEXT, "pending?": [TEXT], "impaired?": [TEXT], "reason?": TEXT,
        "deadline_ms?": INTEGER,
    },
    "ready": {
        "session?": {
            "id": TEXT, "token": TEXT, "ttl_ms?": INTEGER, "resumed?": FLAG, "lost_because?": TEXT, "subject": TEXT,
            "durability?": TEXT,
        },
        "received?": INTEGER, "refused?": [_REFUSAL], "impaired?": [TEXT],
        "limits": {"max_message_bytes": INTEGER, "max_in_flight": INTEGER, "max_in_flight_bytes": INTEGER},
        "heartbeat": {"interval_ms": INTEGER, "timeout_ms": INTEGER},
        "auth?": {"expires_in_ms?": INTEGER}, "capabilities?": [TEXT],
    },
    "ack": {"id": INTEGER},
    "nack": _REFUSAL,
    "message": {"offset": INTEGER, "event?": TEXT, "re?": INTEGER, "end?": FLAG, "error?": _ERROR, "asks?": FLAG},
    "subscribed": {"topic": TEXT, "offset": INTEGER, "head": INTEGER, "epoch": TEXT, "recovered?": FLAG},
    "unsubscribed": {"topic": TEXT, "code?": TEXT, "retry?": FLAG},
    "publication": {"topic": TEXT, "offset": INTEGER, "event": TEXT, "request?": INTEGER},
    "page": {
        "request": INTEGER, "epoch?": TEXT, "head?": INTEGER, "more?": FLAG, "code?": TEXT, "retry?": FLAG,
    },
    "read": {"re": INTEGER, "id": INTEGER},
    "auth": {
        "expires_in_ms?": INTEGER, "required?": FLAG, "deadline_ms?": INTEGER, "error?": _ERROR, "retry?": FLAG,
    },
    "drain": {"deadline_ms": INTEGER, "reconnect_after_ms?": [INTEGER], "alternate?": TEXT},
    "ping": {"nonce": TEXT},
    "pong": {"nonce": TEXT},
    "bye": {"code": INTEGER, "reason?": TEXT, "class?": TEXT, "retry_after_ms?": INTEGER, "clause?": TEXT},
}  # fmt: skip
OF_CLIENTS = {"hello", "send", "taken", "cancel", "subscribe", "unsubscribe", "history"}


class _Pairs(list):
    """The members of an object as they were written, doubles included."""


class _OddNumber(str):
    """A number that no field of the protocol may hold: signed, broken, or not below 2^53."""


def _integer(text):
    return int(text) if len(text) <= 16 and text.isdigit() and int(text) < 2**53 else _OddNumber(text)


def _constant(text):
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=_integer, parse_float=_OddNumber, parse_constant=_constant
)
_SPACE = re.compile(r"[ \t\n\r]*")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def _space(text, at):
    return _SPACE.match(text, at).end()


def _expect(text, at, mark):
    at = _space(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"no {mark}")
    return at if mark == '"' else _space(text, at + 1)


def _depth(text):
    depth = deepest = 0
    for token in _BRACKETS.finditer(text):
        mark = token[0]
        depth += (mark in "[{") - (mark in "]}")
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs, where):
    if len(pairs) > MAX_MEMBERS:
        raise Breach(4400, "frame.malformed", f"more than {MAX_MEMBERS} members in {where}")
    if any(_SURROGATE.search(key) for key, _ in pairs):
        raise Breach(4400, "frame.malformed", f"half of a surrogate pair in a key of {where}")
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise Breach(4400, "frame.duplicate_key", f"a key stands twice in {where}")
    return unique


def _object(found, shape, where):
    """The known members of an object; an absent one, or one that is null, is None."""
    known = {}
    for name, kind in shape.items():
        key = name.rstrip("?")
        value = found.get(key)
        if value is None and name == key:
            raise Breach(4400, "frame.field", f"no `{key}` in {where}")
        known[key] = None if value is None else _value(value, kind, f"`{key}` of {where}")
    return known


def _value(value, kind, where):
    if isinstance(kind, list) and type(value) is list:
        return [_value(element, kind[0], f"an element of {where}") for element in value]
    if isinstance(kind, dict) and type(value) is _Pairs:
        return _object(_unique(value, where), kind, where)
    if kind is TEXT and type(value) is str:
        if _SURROGATE.search(value):
            raise Breach(4400, "frame.malformed", f"half of a surrogate pair in {where}")
        return value
    if kind is INTEGER and type(value) is int or kind is FLAG and type(value) is bool:
        return value
    clause = "frame.integer" if kind is INTEGER and type(value) is _OddNumber else "frame.field"
    raise Breach(4400, clause, f"{where} is not {kind if isinstance(kind, str) else 'of its type'}")
