"""A server of the Readywire protocol, version 1, level Core, on FastAPI.

Copy this file and `frames.py`, derive from `Application`, and run `Server`, as `testee.py` does. Names such as
`ready.gate` in comments are rules of the specification.
"""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI, Response, WebSocket

from frames import HELLO_ENTRY, MAX_MESSAGE_BYTES, End, Object, breach, parse, parse_entry

SUBPROTOCOL = "readywire.v1"
LIMITS = {"max_message_bytes": MAX_MESSAGE_BYTES, "max_in_flight": 64, "max_in_flight_bytes": 1 << 20}
LOG = logging.getLogger("readywire")


@dataclass(frozen=True)
class Settings:
    hello_timeout_ms: int = 3_000
    ready_timeout_ms: int = 30_000
    heartbeat_interval_ms: int = 20_000
    heartbeat_timeout_ms: int = 10_000
    preauth_connections: int = 100  # of one address
    drain_ms: int = 2_000
    hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1", "[::1]"})  # the names that this server answers to
    origins: frozenset[str] = frozenset()  # let in besides the server's own, such as "https://app.example.org"


@dataclass(frozen=True)
class Credential:
    scheme: str  # "bearer" or "ticket"
    token: str
    attempt: int  # a ticket is good for one


@dataclass(frozen=True)
class Identity:
    subject: str
    expires: float  # by `time.time()`


class Refused(Exception):
    """Raised by a handler that does not take a message; its arguments are fields of the `nack`."""

    def __init__(self, code: str, message: str = "", **more: Any):
        super().__init__(message)
        self.fields = {"code": code, "message": message, **more}


class Application:
    """What the server is for: derive from it, and fill `handlers`.

    A handler takes a payload or raises `Refused`. The `ack`, and all frames behind it, wait for it: start a task for
    what takes long.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.handlers: dict[str, Callable[[Any], Awaitable[None]]] = {}
        self.impaired: set[str] = set()
        self.leaving = False
        self.changed = asyncio.Event()  # of the two above; another one after each change
        self.connections: set[asyncio.Task[Any]] = set()
        self.strangers: set[Connection] = set()  # connections that are not authenticated

    def authenticate(self, credential: Credential) -> Identity:
        """Who is there; else `End` with 4102, 4104 or 4001, and a reason without the token (token.reasons)."""
        raise NotImplementedError

    def services(self, subject: str) -> dict[str, Awaitable[None]]:
        """What a connection waits for. It is cancelled when that goes: shield what is to go on (stage.shared_start)."""
        return {}

    def set_impaired(self, service: str, impaired: bool) -> None:
        (self.impaired.add if impaired else self.impaired.discard)(service)
        self.tell()

    async def leave(self) -> None:
        self.leaving = True
        self.tell()
        if self.connections:
            # 2 s for farewells: some libraries wait far longer for a peer that does not answer.
            await asyncio.wait(self.connections, timeout=self.settings.drain_ms / 1000 + 2)

    def tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class Server(uvicorn.Server):
    def __init__(self, application: Application, host: str, port: int):
        self.application = application
        config = uvicorn.Config(
            routes(application),
            host=host,
            port=port,
            log_level="warning",  # upgrade.redact: a log of level debug has all headers
            ws_per_message_deflate=False,  # upgrade.no_extensions
            ws_ping_interval=None,  # the protocol has pings of its own
            ws_max_size=16 * MAX_MESSAGE_BYTES,  # above, it closes with 1009 by itself; below, `parse` with 4413
        )
        super().__init__(config)

    async def startup(self, sockets: list[Any] | None = None) -> None:
        self.loop, self.signalled = asyncio.get_running_loop(), asyncio.Event()
        self.leaving = asyncio.create_task(self.leave())
        await super().startup(sockets=sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        print(f"listening on ws://{host}:{port}/ws", flush=True)

    def handle_exit(self, sig: int, frame: Any) -> None:
        # By itself uvicorn would cut every WebSocket now. At a second signal it may.
        if self.application.leaving:
            return super().handle_exit(sig, frame)
        self.loop.call_soon_threadsafe(self.signalled.set)

    async def leave(self) -> None:
        await self.signalled.wait()
        await self.application.leave()
        self.should_exit = True
        await asyncio.sleep(1)
        self.force_exit = True


def routes(application: Application, path: str = "/ws") -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.websocket(path)
    async def upgrade(socket: WebSocket) -> None:
        if not let_in(socket, application.settings):
            return await refuse(socket, 403)
        strangers = sum(stranger.address == address_of(socket) for stranger in application.strangers)
        if application.leaving or strangers >= application.settings.preauth_connections:
            return await refuse(socket, 503, {"Retry-After": "1"})
        task = asyncio.current_task()
        assert task is not None
        application.connections.add(task)
        try:
            await Connection(socket, application).serve()
        finally:
            application.connections.discard(task)

    @app.websocket("/{path:path}")
    async def wrong_path(socket: WebSocket) -> None:
        await refuse(socket, 404)

    @app.get(path)
    async def no_upgrade() -> Response:
        return Response(status_code=426, headers={"Upgrade": "websocket", "Connection": "Upgrade"})

    return app


def let_in(socket: WebSocket, settings: Settings) -> bool:
    """upgrade.origin: a host that is known, and no page of another origin."""
    host = socket.headers.get("host", "").lower()
    known = re.sub(r":\d+$", "", host) in settings.hosts
    origins = settings.origins | {f"http://{host}", f"https://{host}"}
    return known and all(origin.lower() in origins for origin in socket.headers.getlist("origin"))


def address_of(socket: WebSocket) -> str:
    return socket.client.host if socket.client else ""


async def refuse(socket: WebSocket, status: int, headers: dict[str, str] | None = None) -> None:
    """Refuses by an HTTP status. Where this extension of ASGI is missing, as in older uvicorns, there is only 403."""
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        return await socket.send_denial_response(Response(status_code=status, headers=headers))
    await socket.close()


class Gone(Exception):
    """The socket is gone: there is nobody left to tell."""


class Connection:
    def __init__(self, socket: WebSocket, application: Application):
        self.socket = socket
        self.application = application
        self.settings = application.settings
        self.address = address_of(socket)
        self.id = secrets.token_hex(8)
        self.hello: asyncio.Future[Object] = asyncio.get_running_loop().create_future()
        self.ready = False
        self.last_id = 0
        self.impaired: list[str] = []  # what the client was told
        self.early: list[str] = []  # topics asked for before `ready`
        self.heard = asyncio.Event()
        self.unanswered: str | None = None  # the nonce of the last ping, until its pong
        self.writing = asyncio.Lock()

    async def serve(self) -> None:
        offered = self.socket.scope["subprotocols"]
        self.application.strangers.add(self)
        try:
            await self.socket.accept(SUBPROTOCOL if offered[:1] == [SUBPROTOCOL] else None)
            await self.say("stage", stage="ACCEPTED", connection=self.id)
            if offered[:1] != [SUBPROTOCOL]:
                raise breach("upgrade.subprotocol", f"{SUBPROTOCOL} is not the first that was offered")
            if entry := next((name for name in offered if name.startswith(HELLO_ENTRY)), None):
                self.hello.set_result(parse_entry(entry))
            async with asyncio.TaskGroup() as tasks:
                for part in (self.start(), self.read(), self.beat(), self.watch()):
                    tasks.create_task(part)
        except* End as ends:
            await self.end(ends.exceptions[0])  # type: ignore[arg-type]  # the first; the group is flat
        except* Gone:
            pass
        except* Exception as failure:
            LOG.error("connection %s failed", self.id, exc_info=failure)
            await self.end(End(1011, "internal error"))
        finally:
            self.application.strangers.discard(self)

    async def start(self) -> None:
        """Says one stage after the other, each when it is true, then `ready`; ends with the token."""
        until = asyncio.get_running_loop().time() + self.settings.ready_timeout_ms / 1000
        try:
            async with asyncio.timeout(self.settings.hello_timeout_ms / 1000):
                hello = await self.hello
        except TimeoutError:
            raise End(4208, "no hello came in time", "hello.timeout") from None
        identity = self.application.authenticate(self.credential(hello))
        self.application.strangers.discard(self)
        await self.say("stage", stage="AUTHENTICATED")
        await self.start_services(identity.subject, until)
        await self.say("stage", stage="SERVICES_READY")

        # `read` is in its loop, and from here on it takes sends. That is said before `ready` is written, not behind it:
        # an answer may come before the write returns. What `read` writes stands behind `ready` all the same.
        self.ready = True
        self.impaired = sorted(self.application.impaired)
        left = max(0, int((identity.expires - time.time()) * 1000))
        interval, timeout = self.settings.heartbeat_interval_ms, self.settings.heartbeat_timeout_ms
        ready = {"limits": LIMITS, "heartbeat": {"interval_ms": interval, "timeout_ms": timeout}}
        await self.say("ready", impaired=self.impaired, auth={"expires_in_ms": left}, **ready)
        for topic in self.early:
            await self.say("unsubscribed", topic=topic, code="unsupported")
        await asyncio.sleep(left / 1000)
        raise End(4102, "the token has expired: ask for a new one")

    def credential(self, hello: Object) -> Credential:
        attempt = (hello.get("resume") or {}).get("attempt", 0)
        if auth := hello.get("auth"):
            return Credential(auth.get("scheme") or "bearer", auth["token"], attempt)
        if authorization := self.socket.headers.get("authorization"):
            scheme, _, token = authorization.partition(" ")
            return Credential(scheme.lower(), token.strip(), attempt)
        raise End(4101, "the token is missing: neither the hello nor the upgrade has one")

    async def start_services(self, subject: str, until: float) -> None:
        services = self.application.services(subject)
        starting = {asyncio.ensure_future(service): name for name, service in services.items()}
        timeout = 0.01  # most are there at once: no need to tell of those
        try:
            while starting:
                done, _ = await asyncio.wait(starting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                for name, task in [(starting.pop(task), task) for task in done]:
                    if task.exception():
                        raise End(4202, f"service `{name}` could not start")
                pending, timeout = sorted(starting.values()), until - asyncio.get_running_loop().time()
                if pending and timeout <= 0:
                    raise End(4201, f"not ready in time: AUTHENTICATED is confirmed, {', '.join(pending)} pending")
                if pending:
                    await self.say("stage", stage="AUTHENTICATED", pending=pending, deadline_ms=int(timeout * 1000))
        finally:
            for task in starting:
                task.cancel()

    async def read(self) -> None:
        """The loop that reads and processes frames, one after the other."""
        frames = size = 0
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                raise Gone
            self.heard.set()
            text = message.get("text")
            if text is None:
                raise breach("frame.text", "a binary message")
            if self in self.application.strangers:
                frames, size = frames + 1, size + len(text.encode())
                if frames > 32 or size > 16 * 1024:
                    raise breach("preauth.limits", "more than 32 frames or 16 KiB before AUTHENTICATED")
            await self.handle(parse(text))

    async def handle(self, frame: Object) -> None:
        kind = frame["type"]
        match kind:
            case "ping":
                return await self.say("pong", nonce=frame["nonce"])
            case "pong":
                if frame["nonce"] == self.unanswered:
                    self.unanswered = None
                return
            case "bye":
                raise End(frame["code"], "", bye=False)
            case "hello":
                if self.hello.done():
                    raise breach("hello.once", "a second hello")
                return self.hello.set_result(frame)
        may_be_early = kind in ("subscribe", "unsubscribe") and self.hello.done()
        if not self.ready and not may_be_early:
            raise breach("ready.gate", f"`{kind}` before `ready`")
        match kind:
            case "send":
                await self.take(frame)
            case "unsubscribe":
                pass
            case "subscribe" if self.ready:
                await self.say("unsubscribed", topic=frame["topic"], code="unsupported")
            case "subscribe":
                self.early.append(frame["topic"])
                if len(self.early) > 256:
                    raise End(4229, "too many subscriptions before `ready`")
            case _:
                raise breach("frame.level", f"`{kind}` is of a level that was not agreed on")

    async def take(self, send: Object) -> None:
        """Decides one send. All come through here, one by one: in the order of their ids."""
        number = send["id"]
        if number <= self.last_id:
            raise breach("send.id_increasing", f"{number} is not above {self.last_id}")
        self.last_id = number
        try:
            handler = self.application.handlers.get(send["event"])
            if handler is None:
                raise Refused("unknown_event", "nothing here handles this event")
            await handler(send.get("payload"))
        except Refused as refused:
            await self.say("nack", id=number, **refused.fields)
        await self.say("ack", id=number)

    async def beat(self) -> None:
        """Pings. Whatever is heard is life, but the next ping waits for the pong of the last."""
        interval, timeout = self.settings.heartbeat_interval_ms / 1000, self.settings.heartbeat_timeout_ms / 1000
        while True:
            await asyncio.sleep(interval)
            self.unanswered = secrets.token_hex(4)
            self.heard.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self.say("ping", nonce=self.unanswered)
                while self.unanswered:
                    async with asyncio.timeout(timeout):
                        await self.heard.wait()
                    self.heard.clear()
            except TimeoutError:
                raise End(4203, "nothing came behind a ping", "heartbeat.dead") from None

    async def watch(self) -> None:
        """Tells what changes about the server: impaired services, and that it goes away."""
        while not self.application.leaving:
            changed = self.application.changed
            await self.tell_impaired()
            await changed.wait()
        if self.ready:
            drain_ms = self.settings.drain_ms
            await self.say("drain", deadline_ms=drain_ms, reconnect_after_ms=[0, drain_ms // 2])
            await asyncio.sleep(drain_ms / 1000)
        raise End(4301, "the server is going away")

    async def tell_impaired(self) -> None:
        impaired = sorted(self.application.impaired)
        if not self.ready or impaired == self.impaired:
            return
        self.impaired = impaired
        if impaired:
            return await self.say("stage", stage="DEGRADED", impaired=impaired, reason=f"impaired: {impaired}")
        await self.say("stage", stage="PROCESSING_READY")

    async def say(self, kind: str, **members: Any) -> None:
        text = json.dumps({"type": kind, **members}, ensure_ascii=False, separators=(",", ":"))
        async with self.writing:
            try:
                await self.socket.send_text(text)
            except Exception:  # each server has another exception for a socket that is gone
                raise Gone from None

    async def end(self, end: End) -> None:
        """`bye`, then the close frame. Nobody waits long for a peer that does not answer."""
        with suppress(Exception):
            async with asyncio.timeout(1):
                if end.bye:
                    clause = {"clause": end.clause} if end.clause else {}
                    await self.say("bye", code=end.code, reason=end.reason, **clause)
                await self.socket.close(*end.close_frame())
