"""One WebSocket for the client: `websockets` reads and writes the bytes of RFC 6455, asyncio moves them.

The part of the library that does no I/O is used, since a client of this protocol needs what `websockets.connect` keeps
to itself: which subprotocol was selected, text that is no UTF-8, the close code for a message that is too large, and
writes that happen at once. It works with websockets 10.4 and later.
"""

import asyncio
import logging

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.uri import parse_uri

try:
    from websockets.client import ClientProtocol
    from websockets.protocol import State
except ImportError:  # before websockets 11
    from websockets.client import ClientConnection as ClientProtocol
    from websockets.connection import State

TEXT, BINARY, CLOSE = 1, 2, 8  # opcodes
CLOSE_TIMEOUT = 1.0
MAX_REASON_BYTES = 123

# The library logs whole headers and frames at its debug level, and there are tokens in them.
_SILENT = logging.Logger("readywire.transport", logging.CRITICAL + 1)


class Refused(Exception):
    """The upgrade was answered by something else than 101, or not at all."""

    def __init__(self, why, retry_after=None):
        super().__init__(why)
        self.retry_after = retry_after


async def connect(url, subprotocols, max_size):
    """Open a WebSocket, which hands over nothing before `begin`."""
    uri = parse_uri(url)
    opened = asyncio.get_running_loop().create_future()
    # asyncio sets TCP_NODELAY by itself.
    transport, socket = await asyncio.get_running_loop().create_connection(
        lambda: Socket(_Upgrade(uri, subprotocols=subprotocols, max_size=max_size, logger=_SILENT), opened),
        uri.host,
        uri.port,
        ssl=True if uri.secure else None,
    )
    try:
        await opened
    except BaseException:
        transport.abort()
        raise
    return socket


class Socket(asyncio.Protocol):
    def __init__(self, wire, opened):
        self.wire, self.opened = wire, opened
        self.on_message = self.on_end = None
        self.events, self.fragments, self.is_text = [], [], True
        self.over = self.lost = False

    @property
    def subprotocol(self):
        return self.wire.selected

    def begin(self, on_message, on_end):
        """From now on `on_message` gets `(is_text, bytes)`; is_text is None for what was too large. `on_end` gets
        `(code, reason)`, once, unless this end closes first."""
        self.on_message, self.on_end = on_message, on_end
        self._deliver()

    def write(self, text):
        if self.wire.state is not State.OPEN:
            return
        self.wire.send_text(text.encode())
        self._flush()

    def close(self, code, reason=""):
        """Write the close frame; nothing is read or written behind it, and nobody waits for long."""
        if self.over:
            return
        self.over = True
        if self.wire.state is State.OPEN:
            try:
                self.wire.send_close(code, _cut(reason))
            except ProtocolError:  # a code that cannot stand in a close frame
                self.wire.send_close(1000)
            self._flush()
        self._let_go()

    # What asyncio calls.

    def connection_made(self, transport):
        self.transport = transport
        self.wire.send_request(self.wire.connect())
        self._flush()

    def data_received(self, data):
        if self.over:
            return
        self._feed(self.wire.receive_data, data)
        if isinstance(self.wire.parser_exc, PayloadTooBig):
            # In place of the close frame with 1009 that waits to be written goes one that says what is broken.
            self.wire.data_to_send()
            self.wire.state = State.OPEN
            self.events.append(None)
        self._flush()
        if not self.opened.done():
            self._opened()
        if self.on_message:
            self._deliver()

    def eof_received(self):
        if not self.opened.done():
            self._feed(self.wire.receive_eof)  # it may be the end of an HTTP answer
            self._opened()

    def connection_lost(self, error):
        self._refuse(Refused("the connection broke off before it was upgraded"))
        self.lost = True
        if self.on_end:
            self._deliver()

    # The rest.

    def _feed(self, receive, *data):
        try:
            receive(*data)
        except Exception as error:  # websockets 10.4 raises what it cannot read as HTTP
            self._refuse(Refused(f"the upgrade was not answered by HTTP: {type(error).__name__}"))
        self.events += self.wire.events_received()

    def _opened(self):
        if not self.events:
            return
        answer = self.events.pop(0)
        if answer.status_code == 101 and self.wire.handshake_exc is None:
            self.opened.set_result(None)
            return
        seconds = "".join(answer.headers.get_all("Retry-After"))
        retry_after = int(seconds) if seconds.isdigit() and len(seconds) < 10 else None
        why = f"HTTP {answer.status_code}" if answer.status_code != 101 else "no proper upgrade to WebSocket"
        self._refuse(Refused(f"the upgrade was refused: {why}", retry_after))

    def _refuse(self, error):
        if not self.opened.done():
            self.opened.set_exception(error)

    def _deliver(self):
        while self.events and not self.over:
            frame = self.events.pop(0)
            if frame is None:
                self.on_message(None, b"")
            elif frame.opcode == CLOSE:
                received = self.wire.close_rcvd
                self._ended(received.code, received.reason)
            elif frame.opcode <= BINARY:
                self._message(frame)
        if self.wire.parser_exc and not self.over:
            # A breach of RFC 6455: the library has said so in a close frame.
            self._ended(1006 if self.lost else 1002, "the connection broke off")
        elif self.lost:
            self._ended(1006, "the connection broke off")

    def _message(self, frame):
        if frame.opcode:
            self.is_text = frame.opcode == TEXT
        self.fragments.append(bytes(frame.data))
        if frame.fin:
            data, self.fragments = b"".join(self.fragments), []
            self.on_message(self.is_text, data)

    def _ended(self, code, reason):
        if self.over:
            return
        self.over = True
        self._let_go()
        self.on_end(code, reason)

    def _flush(self):
        for data in self.wire.data_to_send():
            if data:
                self.transport.write(data)

    def _let_go(self):
        """The server ends the TCP connection; if it does not, the client does."""
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.transport.abort)


class _Upgrade(ClientProtocol):
    """The library hangs up on a subprotocol that was not offered; this protocol wants a close frame."""

    selected = None

    def process_subprotocol(self, headers):
        self.selected = ", ".join(headers.get_all("Sec-WebSocket-Protocol")) or None
        return self.selected


def _cut(reason):
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
