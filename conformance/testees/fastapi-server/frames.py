"""Reads what a client of the Readywire protocol writes, as strictly as the specification asks."""

import base64
import json
import re
from typing import Any

MAX_MESSAGE_BYTES = 1 << 20
HELLO_ENTRY = "readywire.hello."


class End(Exception):
    """The connection ends: `bye` and the close frame say why. Without `bye` it answers the other end's."""

    def __init__(self, code: int, reason: str, clause: str | None = None, bye: bool = True):
        super().__init__(reason)
        self.code, self.reason, self.clause, self.bye = code, reason, clause, bye

    def close_frame(self) -> tuple[int, str]:
        """The code, or 1000 if it cannot stand in a close frame, and at most 123 bytes of the reason, in characters."""
        writable = self.code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= self.code < 5000
        return self.code if writable else 1000, self.reason.encode()[:123].decode(errors="ignore")


def breach(clause: str, found: str) -> End:
    return End(CLOSE_CODES.get(clause, 4400), f"{clause}: {found}", clause)


class Object(dict):
    """A JSON object that remembers what a `dict` forgets: how many members were written, and how deep it nests."""

    def __init__(self, members: list[tuple[str, Any]]):
        super().__init__(members)
        self.written = len(members)
        self.depth = 1 + max((depth(value) for _, value in members), default=0)


def parse(text: str) -> Object:
    """The frame in a text message. Of its payload only syntax and depth count: that is opaque."""
    size = len(text.encode())
    if size > MAX_MESSAGE_BYTES:
        raise breach("frame.size", f"{size} bytes")
    try:
        frame = JSON.decode(text)
        too_deep = depth(frame) > 64
    except RecursionError:
        too_deep = True
    except ValueError:
        raise breach("frame.malformed", "not one JSON object") from None
    if too_deep:
        raise breach("frame.depth", "more than 64 levels")
    if not isinstance(frame, Object):
        raise breach("frame.malformed", "not one JSON object")
    kind = frame.get("type")
    if not isinstance(kind, str):
        raise breach("frame.field", "`type` is missing or no string")
    if kind in FROM_SERVER:
        raise breach("frame.direction", f"a client does not send `{kind}`")
    if kind not in SHAPES:
        raise breach("frame.type", "there is no such type")
    check_object(frame, SHAPES[kind], kind)
    return frame


def parse_entry(entry: str) -> Object:
    """The hello that rode in the upgrade, as one of the subprotocols offered."""
    if len(entry) > 4096:
        raise breach("upgrade.hello", "the entry has more than 4096 bytes")
    try:
        text = from_base64url(entry.removeprefix(HELLO_ENTRY)).decode()
    except ValueError:
        raise breach("upgrade.hello", "the entry is not strictly base64url, or not UTF-8") from None
    frame = parse(text)
    if frame["type"] != "hello":
        raise breach("hello.first", f"`{frame['type']}` in the upgrade")
    return frame


def to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64url(data) != text:  # Python passes over what is not in the alphabet
        raise ValueError("not strictly base64url")
    return data


CLOSE_CODES = {
    "upgrade.subprotocol": 4006,
    "preauth.limits": 4229,
    "ready.gate": 4401,
    "hello.once": 4409,
    "frame.size": 4413,
    "frame.text": 4415,
}  # every other clause: 4400

FROM_SERVER = {
    "stage", "ready", "ack", "nack", "message", "subscribed", "unsubscribed", "publication", "page", "read", "drain",
}  # fmt: skip

# The frames that a client sends, with "!" at what is required. Types are checked whatever the level; what a member of
# another level says, such as `send.key`, is ignored.
SHAPES: dict[str, dict[str, Any]] = {
    "hello": {
        "client": {"name!": str, "version": str},
        "auth": {"scheme": str, "token!": str},
        "capabilities": [str],
        "window": {"messages!": int, "bytes!": int},
        "resume": {"session!": str, "token!": str, "attempt!": int, "settled": int, "inbox": int},
    },
    "send": {"id!": int, "event!": str, "answer": bool, "key": str, "topic": str}
    | {"stream": bool, "of": int, "end": bool}
    | {"re": int, "error": {"code!": str, "message": str}},
    "subscribe": {"topic!": str, "offset": int, "epoch": str, "last": int},
    "unsubscribe": {"topic!": str},
    "history": {"request!": int, "topic!": str, "limit!": int, "before": int, "epoch": str},
    "ping": {"nonce!": str},
    "pong": {"nonce!": str},
    "bye": {"code!": int, "reason": str, "class": str, "retry_after_ms": int, "clause": str},
    "taken": {"offset!": int, "topic": str},
    "cancel": {"re!": int},
    "auth": {"scheme": str, "token!": str},
}


def depth(value: Any) -> int:
    if isinstance(value, Object):
        return value.depth
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def check_object(value: Object, shape: dict[str, Any], where: str) -> None:
    if value.written > 64:
        raise breach("frame.malformed", f"`{where}` has more than 64 members")
    if value.written != len(value):
        raise breach("frame.duplicate_key", f"`{where}` has a key twice")
    if any(HALF_PAIR.search(key) for key in value):
        raise breach("frame.malformed", f"half of a surrogate pair in a key of `{where}`")
    for name, expected in shape.items():
        key = name.rstrip("!")
        member = value.get(key)
        if member is not None:
            check(member, expected, f"{where}.{key}")
        elif key != name:
            raise breach("frame.field", f"`{where}.{key}` is missing")


def check(value: Any, expected: Any, where: str) -> None:
    match expected, value:
        case dict(), Object():
            check_object(value, expected, where)
        case [kind], list():
            for item in value:
                check(item, kind, where)
        case _ if expected is str and isinstance(value, str):
            if HALF_PAIR.search(value):
                raise breach("frame.malformed", f"half of a surrogate pair in `{where}`")
        case _ if expected is bool and isinstance(value, bool):
            return
        case _ if expected is int and type(value) in (int, float):  # `True` is an instance of `int`, too
            if type(value) is float or not 0 <= value < 1 << 53:
                raise breach("frame.integer", f"`{where}` is not plain digits below 2^53")
        case _:
            raise breach("frame.field", f"`{where}` has another type")


def parse_integer(text: str) -> int | float:
    # An `int` forgets the sign of "-0", and Python makes none of over 4300 digits.
    return float(text) if text == "-0" or len(text) > 4000 else int(text)


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


HALF_PAIR = re.compile("[\ud800-\udfff]")
JSON = json.JSONDecoder(object_pairs_hook=Object, parse_int=parse_integer, parse_constant=refuse_constant)
