"""A client of the Readywire protocol, version 1, at the levels Core, Resume and Answers, on `websockets` and asyncio.

    client = Client("wss://example.com/ws", token=fetch_token, listen=print)
    outcome = await client.send("chat.say", {"text": "hello"})
    async for part in client.stream("agent.ask", "why?"):
        print(part.payload)
    await client.close()
"""

import asyncio
import base64
import inspect
import json
import random
from dataclasses import dataclass

import transport
from ending import End, Retry
from link import Link
from outbox import Outbox, Outcome, Send

PROTOCOL = "readywire.v1"
HELLO_ENTRY = "readywire.hello."
MAX_ENTRY_BYTES = 4096
LEVELS = ["resume", "answers"]


@dataclass
class Options:
    """Timers, in seconds, and limits, named as in the specification."""

    connect_timeout: float = 10
    stage_timeout: float = 10
    stage_grace: float = 2
    ready_cap: float = 300
    queue_age: float = 30
    progress_timeout: float = 15
    probe_timeout: float = 3
    taken_delay: float = 0.05
    backoff_first: float = 0.5
    backoff_base: float = 0.5
    backoff_cap: float = 20
    stable_after: float = 5
    retry_after_cap: float = 300
    close_deadline: float = 5  # how long `close` waits for what is under way
    queue_messages: int = 256
    queue_bytes: int = 1 << 20
    window_messages: int = 256
    window_bytes: int = 1 << 20
    max_read_bytes: int = 16 << 20
    hello_in_upgrade: bool = False  # saves a round trip, and puts the token into a header


class Client:
    """Connects at once, and again after each loss, until `close` or an end that is final.

    `token` is asked before each attempt; it may be async. `listen(what, **news)` is told of each `state`, `message` and
    `closed`, in order. One event loop owns the client.
    """

    def __init__(self, url, token, listen=lambda what, **news: None, options=None):
        self.url, self.token, self.listen = url, token, listen
        self.options = options or Options()
        self.outbox = Outbox(self.options)
        self.retry = Retry(self.options)
        self.link = self.session = self.subject = self.end = None
        self.attempt = self.session_attempt = self.inbox = 0
        self.fall_back = self.closing = False
        self.state = self.code = None  # `code`: by which the last attempt or connection ended
        self.wakeup = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._run())

    def send(self, event, payload=None, *, policy="queue", expire_after=None, key=None, answer=False, reader=None,
             told=None, held=None):  # fmt: skip
        """Send a message. `fail_fast` is refused at once while the server is not ready."""
        age = self.options.queue_age if expire_after is None else min(expire_after, self.options.queue_age)
        expires = asyncio.get_running_loop().time() + age
        send = Send(self.outbox, event, payload, policy, key, answer, expires, reader)
        send.told, send.held = told, held
        if self.end or self.closing:
            send.settle(Outcome("refused", "closed"))
        else:
            self.outbox.put(send)
        return send

    def stream(self, event, payload=None, **how):
        """Send a message that asks for an answer: iterate over its parts."""
        return self.send(event, payload, answer=True, **how)

    def wake(self):
        """The machine woke up, or the network changed: look whether the connection lives, or connect at once."""
        self.wakeup.set()
        if self.link and self.link.ready and not self.link.over:
            self.link.write(type="ping", nonce=f"{random.getrandbits(32):08x}")
            self.link.arm("probe", self.options.probe_timeout, 4203, "heartbeat.probe", "a ping met silence")

    async def close(self):
        """Wait for what is under way, though not for long, then say goodbye; this ends the session."""
        self.closing = True
        deadline = asyncio.get_running_loop().time() + self.options.close_deadline
        while not self.end and self.outbox.link and (waiting := self._under_way()):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await asyncio.wait([waiting[0].change()], timeout=left)
        self.drop()

    def drop(self):
        """As `close`, and waits for nothing."""
        self._finish(End(1000, "closed by the application", farewell=True))

    def _under_way(self):
        return [*self.outbox.flight.values(), *self.outbox.queue]

    async def _run(self):
        while not self.end:
            self.attempt += 1
            self.tell_state("connecting")
            end = await self._connect()
            self.code = end.code
            delay = None if self.closing else self.retry.after(end)
            if delay is None:
                self._finish(end)
                return
            self.tell_state("connecting")
            self.wakeup.clear()
            try:
                await asyncio.wait_for(self.wakeup.wait(), delay)
            except asyncio.TimeoutError:
                pass

    async def _connect(self):
        """One attempt: from the token to the end of the connection."""
        link = self.link = Link(self, self.session)
        in_upgrade, self.fall_back = self.options.hello_in_upgrade and not self.fall_back, True
        if self.session:
            self.session_attempt += 1
        try:
            token = await asyncio.wait_for(self._ask(), self.options.connect_timeout)
        except Exception as error:
            # No server has refused a token, so this stops nobody, however often it happens.
            return End(4101, f"the application gave no token: {type(error).__name__}", said="backoff")
        hello = json.dumps(self._hello(token), ensure_ascii=False)
        entry = HELLO_ENTRY + base64.urlsafe_b64encode(hello.encode()).decode().rstrip("=")
        in_upgrade = in_upgrade and len(entry) <= MAX_ENTRY_BYTES
        offer = [PROTOCOL, entry] if in_upgrade else [PROTOCOL]
        try:
            opening = transport.connect(self.url, offer, self.options.max_read_bytes)
            link.socket = await asyncio.wait_for(opening, self.options.connect_timeout)
        except transport.Refused as refused:
            return End(1006, str(refused), retry_after=refused.retry_after)
        except Exception as error:
            return End(1006, f"the socket did not open: {type(error).__name__}")
        if link.socket.subprotocol != PROTOCOL:
            reason = "upgrade.subprotocol: readywire.v1 was not selected"
            link.socket.close(4006, reason)
            return End(4006, reason, clause="upgrade.subprotocol")
        if not in_upgrade:
            link.write_text(hello)
        link.opened()
        link.socket.begin(link.received, link.closed)
        return await link.ended

    async def _ask(self):
        token = self.token()
        return await token if inspect.isawaitable(token) else token

    def _hello(self, token):
        options = self.options
        hello = {"type": "hello", "client": {"name": "readywire-python", "version": "1.0"}}
        if token is not None:
            hello["auth"] = {"token": token}
        hello["capabilities"] = LEVELS
        hello["window"] = {"messages": options.window_messages, "bytes": options.window_bytes}
        if self.session:
            hello["resume"] = {
                "session": self.session["id"], "token": self.session["token"], "attempt": self.session_attempt,
                "settled": self.outbox.settled, "inbox": self.inbox,
            }  # fmt: skip
        return hello

    def lose_session(self):
        keyed, self.session = self.session is not None, None
        self.inbox = self.session_attempt = 0
        self.outbox.lost(keyed)

    def _finish(self, end):
        """The client is over, for one reason, told once."""
        if self.end:
            return
        self.end, self.code = end, end.code
        if self.link and not self.link.over and self.link.socket:
            end.stage, end.pending = self.link.state, self.link.pending
            self.link.close(end.code, end.reason)
        self.outbox.lost(keyed=False)
        self.outbox.give_up("closed")
        self.tell_state("closed")
        news = {"code": end.code, "clause": end.clause, "stage": end.stage, "pending": end.pending}
        self.listen("closed", **news, retryable=end.kind != "stop")
        self.task.cancel()

    def tell_state(self, state, pending=(), impaired=()):
        news = {"state": state, "pending": list(pending), "impaired": list(impaired), "attempt": self.attempt}
        news["code"] = self.code if state in ("connecting", "closed") else None
        if news != self.state:
            self.state = news
            self.listen("state", **news)
