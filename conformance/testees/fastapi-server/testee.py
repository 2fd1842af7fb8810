"""The application that the conformance suite asks for, on `server.py`: its subjects, events, settings and tokens."""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from frames import End, from_base64url, to_base64url
from server import Application, Credential, Identity, Refused, Server, Settings


class Testee(Application):
    def __init__(self, settings: Settings, secret: bytes):
        super().__init__(settings)
        self.secret = secret
        self.spent: dict[str, tuple[int, float]] = {}  # tickets: the attempt that used it, and when it expires
        self.starting: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.handlers = {"echo": self.echo, "refuse": self.refuse, "needy": self.needy, "impair": self.impair}

    async def echo(self, payload: Any) -> None:
        """Is taken, and that is all: an answer needs the level Answers."""

    async def refuse(self, payload: Any) -> None:
        raise Refused("refused", "as was asked")

    async def needy(self, payload: Any) -> None:
        if "search" in self.impaired:
            raise Refused("service_impaired", "service `search` is impaired", retry=True, service="search")

    async def impair(self, payload: Any) -> None:
        self.set_impaired("search", isinstance(payload, dict) and payload.get("on") is True)

    def services(self, subject: str) -> dict[str, Awaitable[None]]:
        return {name: self.start(subject, name) for name in ("index", "search")}

    async def start(self, subject: str, name: str) -> None:
        """Goes on without its connection, and is there for the next one that comes."""
        key = subject, name
        if key not in self.starting:
            self.starting[key] = asyncio.create_task(run_service(subject, name))
        task = self.starting[key]
        try:
            await asyncio.shield(task)
        finally:
            if task.done():
                self.starting.pop(key, None)

    def authenticate(self, credential: Credential) -> Identity:
        body, _, signature = credential.token.partition(".")
        if not hmac.compare_digest(signature.encode(), sign(self.secret, body).encode()):
            raise End(4104, "the token is invalid: its signature is wrong")
        claims = json.loads(from_base64url(body))
        if claims["scheme"] != credential.scheme:
            raise End(4104, "the token is invalid: it is of another scheme")
        if claims["expires"] <= time.time():
            raise End(4102, "the token has expired: ask for a new one")
        if credential.scheme == "ticket":
            self.spend(claims, credential.attempt)
        return Identity(claims["subject"], claims["expires"])

    def spend(self, ticket: dict[str, Any], attempt: int) -> None:
        self.spent = {old: use for old, use in self.spent.items() if use[1] > time.time()}
        if self.spent.setdefault(ticket["id"], (attempt, ticket["expires"]))[0] != attempt:
            raise End(4104, "the token is invalid: this ticket is spent")


async def run_service(subject: str, name: str) -> None:
    if subject == "slow":
        await asyncio.sleep(0.15 if name == "index" else 0.3)
    if subject == "failing" and name == "search":
        raise RuntimeError("it never starts for this subject")
    if subject == "stuck" and name == "search":
        await asyncio.Event().wait()


def print_token(secret: bytes, subject: str) -> None:
    claims = {"subject": subject, "expires": time.time() + 3600, "scheme": "bearer", "id": secrets.token_hex(8)}
    match subject:
        case "expired":
            claims |= {"subject": "alice", "expires": time.time() - 60}
        case "invalid":
            claims["subject"], secret = "alice", secrets.token_bytes(32)
        case "ticket":
            claims |= {"subject": "alice", "scheme": "ticket"}
    body = to_base64url(json.dumps(claims).encode())
    print(f"{body}.{sign(secret, body)}")


def sign(secret: bytes, body: str) -> str:
    return to_base64url(hmac.digest(secret, body.encode(), hashlib.sha256))


def settings_of_the_suite() -> Settings:
    given = json.loads(os.environ.get("READYWIRE_CONFORMANCE", "{}"))
    return Settings(**{name: value for name, value in given.items() if name in Settings.__dataclass_fields__})


async def run(host: str, port: int, secret: bytes) -> None:
    await Server(Testee(settings_of_the_suite(), secret), host, port).serve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--secret-file", type=Path, required=True, help="what tokens are signed with")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: any that is free")
    token = parser.add_subparsers(dest="command").add_parser("token", help="print a token")
    token.add_argument("--subject", required=True)
    arguments = parser.parse_args()
    secret = arguments.secret_file.read_bytes().strip()
    if arguments.command == "token":
        return print_token(secret, arguments.subject)
    asyncio.run(run(arguments.host, arguments.port, secret))


if __name__ == "__main__":
    main()
