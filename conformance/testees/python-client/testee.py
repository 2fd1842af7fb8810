"""Speaks for the client with the conformance suite: orders come in as lines of JSON, reports go out."""

import asyncio
import dataclasses
import json
import sys

from client import Client, Options
from frames import members
from outbox import Json

MILLISECONDS = "_ms"
FIELDS = {field.name for field in dataclasses.fields(Options)}
TIMERS = {name for name in FIELDS if isinstance(getattr(Options, name), (int, float))} - {
    "queue_messages", "queue_bytes", "window_messages", "window_bytes", "max_read_bytes", "hello_in_upgrade",
}  # fmt: skip
OPTIONS = sorted([name + MILLISECONDS for name in TIMERS] + list(FIELDS - TIMERS - {"max_read_bytes"}))


class Run:
    """One case, with a client of its own."""

    def __init__(self, name, order):
        self.name, self.order_token, self.sends = name, order, {}
        options = {
            key.removesuffix(MILLISECONDS): value / 1000 if key.endswith(MILLISECONDS) else value
            for key, value in order.get("options", {}).items()
            if key in OPTIONS
        }
        self.client = Client(order["url"], self.token, self.report, Options(**options))

    async def token(self):
        self.report("token")
        order = self.order_token
        if "fail" in order:
            raise RuntimeError(order["fail"])
        if "token" not in order:
            await asyncio.Event().wait()
        return order["token"]

    def forget(self):
        self.name = None
        self.client.drop()

    def obey(self, order, texts):
        op, handle = order["op"], order.get("handle")
        if op == "token":
            self.order_token = order
        elif op in ("send", "stream", "request"):
            self.send(op, handle, order, texts)
        elif op == "read":
            self.sends[handle].read(lambda part: self.answer(handle, part))
        elif op == "cancel":
            self.sends[handle].cancel()
        elif op == "abandon":
            self.sends[handle].abandon()
        elif op == "wake":
            self.client.wake()
        elif op == "close":
            self.closing = asyncio.get_running_loop().create_task(self.client.close())
        elif op == "sync":
            self.report("synced")

    def send(self, op, handle, order, texts):
        seconds = order.get("expire_after_ms")
        done = False

        def told(outcome):
            if op == "send" or outcome.outcome != "acknowledged":
                self.report("outcome", handle=handle, outcome=outcome.outcome, code=outcome.code)

        def reader(part):
            nonlocal done
            if op == "stream":
                self.answer(handle, part)
            elif not done:
                done = True
                self.answer(handle, part._replace(end=True))
                if not part.end:
                    asyncio.get_running_loop().call_soon(self.sends[handle].cancel)

        self.sends[handle] = self.client.send(
            order["event"],
            Json(texts.get("payload", "null")),
            policy=order.get("policy") or "queue",
            expire_after=None if seconds is None else seconds / 1000,
            key=order.get("key"),
            answer=op != "send",
            reader=None if order.get("read") is False else reader,
            told=told,
            held=lambda service: self.report("held", handle=handle, service=service),
        )

    def answer(self, handle, part):
        self.report(
            "answer", handle=handle, event=part.event, payload_text=part.payload_text, end=part.end, error=part.error
        )

    def report(self, what, payload_text=None, **news):
        if self.name is not None:
            report({"run": self.name, "on": what, **news}, payload_text)


def report(news, payload_text=None):
    line = json.dumps(news)
    if payload_text is not None:
        line = f'{line[:-1]}, "payload": {payload_text}}}'
    print(line.replace("\n", " ").replace("\r", " "), flush=True)


async def main():
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    report({
        "on": "hello", "name": "readywire-python", "version": "1.0", "levels": ["resume", "answers"], "lacks": ["handover", "alternate", "existing"],
        "options": OPTIONS,
    })  # fmt: skip
    runs = {}
    while line := await lines.readline():
        order = json.loads(line)
        name, op = order.get("run"), order.get("op")
        try:
            if op == "connect":
                runs[name] = Run(name, order)
            elif op == "end":
                if name in runs:
                    runs.pop(name).forget()
            elif name in runs:
                runs[name].obey(order, {key: text for key, _, text in members(line.decode())})
        except Exception as error:
            report({"run": name, "on": "trouble", "why": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    asyncio.run(main())
