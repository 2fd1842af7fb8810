"""One connection: its stages, its frames and its deadlines, from the hello to its one end."""

import asyncio
import json

from ending import End
from frames import Breach, parse
from outbox import Part

MAX_BYTES_BEFORE_READY = 1 << 20
STAGES = [None, "ACCEPTED", "AUTHENTICATED", "SERVICES_READY"]


class Link:
    """One connection. Whatever an old one still brings goes nowhere: it is over, once, for one reason."""

    def __init__(self, client, asked):
        self.client, self.options, self.outbox = client, client.options, client.outbox
        self.asked = asked  # the session that the hello asks for
        self.socket = self.stage = self.limits = self.heartbeat = self.ready_at = None
        self.ready = self.over = self.resume = self.answers = self.progress_runs = False
        self.may_say_bye = True
        self.state, self.pending, self.impaired, self.within = "connecting", [], [], (0, 0)
        self.untaken = self.untaken_bytes = 0
        self.timers = {}
        self.ended = asyncio.get_running_loop().create_future()

    def write(self, **frame):
        self.write_text(json.dumps(frame, ensure_ascii=False))

    def write_text(self, text):
        if not self.over:
            self.socket.write(text)

    def cancel(self, id):
        if self.answers:
            self.write(type="cancel", re=id)

    def opened(self):
        self.cap = _now() + self.options.ready_cap
        self._wait_for_stage(None)

    def arm(self, name, delay, code, clause, found):
        """Close with `code` when `delay` is over, unless it is armed again or disarmed."""
        self.disarm(name)
        breach = Breach(code, clause, found)
        self.timers[name] = asyncio.get_running_loop().call_later(delay, self._break, breach)

    def disarm(self, name):
        if name in self.timers:
            self.timers.pop(name).cancel()

    def sent(self):
        if not self.progress_runs:
            self.progress_runs = True
            timeout = self.options.progress_timeout
            self.arm("progress", timeout, 4210, "send.no_progress", f"nothing was decided for {timeout} s")

    def received(self, is_text, data):
        if self.over:
            return
        try:
            if is_text is False:
                raise Breach(4415, "frame.text", "a binary message")
            if is_text is None or len(data) > (self.limits or {}).get("max_message_bytes", MAX_BYTES_BEFORE_READY):
                raise Breach(4413, "frame.size", "a message that is too large")
            frame = parse(data)
            if self.ready:
                self._lives()
            self._frame(frame)
        except Breach as breach:
            self._break(breach)

    def closed(self, code, reason):
        self._end(End(code, reason))

    def close(self, code, reason, clause=None):
        """End the connection from this side: `bye`, the close frame, and nothing behind it."""
        if self.may_say_bye:
            bye = {"type": "bye", "code": code, "reason": reason}
            self.write(**bye, **({"clause": clause} if clause else {}))
        self.socket.close(code, reason)
        self._end(End(code, reason, clause=clause))

    def _break(self, breach):
        if self.over:
            return
        if self.stage is None and breach.code == 4201:
            self.may_say_bye = False  # whatever it is, it may not speak this protocol
        self.close(breach.code, str(breach), breach.clause)

    def _end(self, end):
        if self.over:
            return
        self.over = True
        for name in list(self.timers):
            self.disarm(name)
        end.within, end.stage, end.pending = self.within, self.state, self.pending
        end.ready_for = _now() - self.ready_at if self.ready else None
        self.outbox.ended(self, self.client.session)
        self.ended.set_result(end)

    def _frame(self, frame):
        kind = frame["type"]
        if kind == "ping":
            return self.write(type="pong", nonce=frame["nonce"])
        if kind == "pong":
            return None
        if kind in ("bye", "stage", "ready"):
            return getattr(self, f"_{kind}")(frame)
        if self.stage is None:
            raise Breach(4402, "stage.accepted", f"`{kind}` before ACCEPTED")
        if not self.ready:
            raise Breach(4401, "ready.gate", f"`{kind}` before `ready`")
        if kind not in ("ack", "nack", "drain", "message") or kind == "message" and not self.resume:
            raise Breach(4400, "frame.level", f"`{kind}` was not agreed on")
        return getattr(self, f"_{kind}")(frame)

    def _bye(self, frame):
        retry_after = frame["retry_after_ms"]
        end = End(
            frame["code"], frame["reason"] or "", frame["class"], True, frame["clause"],
            None if retry_after is None else retry_after / 1000,
        )  # fmt: skip
        self.socket.close(end.code)
        self._end(end)

    def _stage(self, frame):
        name = frame["stage"]
        if self.ready:
            if name == "DEGRADED" and not frame["impaired"]:
                raise Breach(4400, "stage.degraded", "DEGRADED by nothing")
            if name != "DEGRADED" and not (name == "PROCESSING_READY" and self.impaired):
                raise Breach(4402, "stage.order", f"`stage {name[:20]}` after `ready`")
            self.impaired = frame["impaired"] if name == "DEGRADED" else []
            self._tell()
            self.outbox.flush()
            return
        if self.stage is None and (name != "ACCEPTED" or frame["connection"] is None):
            raise Breach(4402, "stage.accepted", "the first frame is no `stage ACCEPTED` with `connection`")
        at = STAGES.index(self.stage)
        if name not in STAGES[max(at, 1) : at + 2]:
            raise Breach(4402, "stage.order", f"`stage {name[:20]}` after {self.stage}")
        pending = frame["pending"] or []
        progress = name != self.stage or sorted(pending) != sorted(self.pending)
        self.stage, self.pending, self.state = name, pending, name.lower()
        self.client.fall_back = False
        if progress:
            self._wait_for_stage(frame["deadline_ms"])
            self._tell()

    def _wait_for_stage(self, deadline_ms):
        options = self.options
        delay = options.stage_timeout if deadline_ms is None else deadline_ms / 1000 + options.stage_grace
        pending = f", pending: {', '.join(self.pending)}" if self.pending else ""
        found = f"no `ready` in time; confirmed: {self.stage or 'nothing'}{pending}"
        self.arm("stage", max(0, min(delay, self.cap - _now())), 4201, "stage.deadline", found)

    def _ready(self, frame):
        client = self.client
        if self.ready or self.stage != "SERVICES_READY":
            clause = "ready.once" if self.ready else "stage.order" if self.stage else "stage.accepted"
            raise Breach(4402, clause, f"`ready` after {self.state}")
        agreed = frame["capabilities"] or []
        self.resume = "resume" in agreed
        self.answers = self.resume and "answers" in agreed
        grant = frame["session"] if self.resume else None
        if self.resume and not grant:
            raise Breach(4400, "frame.field", "no `session`, though Resume was agreed on")
        resumed = bool(grant and grant["resumed"])
        self._check_session(grant, resumed)
        self.ready, self.ready_at, self.pending = True, _now(), []
        self.limits, self.heartbeat, self.impaired = frame["limits"], frame["heartbeat"], frame["impaired"] or []
        self.disarm("stage")
        self._lives()
        client.retry.row = (None, 0)
        received = (frame["received"] or 0) if grant else 0
        if not resumed:
            client.lose_session()
        if not self.outbox.acknowledged <= received <= self.outbox.last_id:
            client.lose_session()
            raise Breach(4400, "session.received_range", f"{received} was received")
        if grant:
            if client.subject not in (None, grant["subject"]):
                self.outbox.give_up("subject_changed")
            client.session, client.subject = grant, grant["subject"]
        self.outbox.link = self
        if resumed:
            self.outbox.resumed(received, frame["refused"] or [])
        self._tell()
        self.outbox.flush()

    def _check_session(self, grant, resumed):
        if resumed and (not self.asked or grant["id"] != self.asked["id"]):
            raise Breach(4400, "session.resumed", "another session than was asked for")
        if resumed and grant["subject"] != self.client.subject:
            raise Breach(4400, "session.resumed", "the session has another subject")

    def _ack(self, frame):
        self._decided(self.outbox.ack(frame["id"]))

    def _nack(self, frame):
        self._decided(self.outbox.nack(frame))

    def _decided(self, anything):
        if anything:
            self.disarm("progress")
            self.progress_runs = False
        self.outbox.flush()
        if self.outbox.written:
            self.sent()

    def _message(self, frame):
        client, offset = self.client, frame["offset"]
        if offset <= client.inbox:
            return
        if offset > client.inbox + 1:
            raise Breach(4400, "inbox.offset", f"{offset} behind {client.inbox}")
        client.inbox = offset
        self._take(len(frame["payload"].encode()))
        if frame["re"] is not None and self.answers:
            error = frame["error"]["code"] if frame["error"] else None
            self.outbox.part(
                frame["re"], Part(frame["event"] or "", frame["payload"], bool(frame["end"]), error)
            )
        else:
            client.listen("message", event=frame["event"] or "", payload_text=frame["payload"], offset=offset)

    def _take(self, size):
        """Say `taken` when half of the window is used, or soon."""
        self.untaken, self.untaken_bytes = self.untaken + 1, self.untaken_bytes + size
        half = self.untaken * 2 >= self.options.window_messages or self.untaken_bytes * 2 >= self.options.window_bytes
        if half:
            self._taken()
        elif self.untaken == 1:
            loop = asyncio.get_running_loop()
            self.timers["taken"] = loop.call_later(self.options.taken_delay, self._taken)

    def _taken(self):
        self.disarm("taken")
        self.untaken = self.untaken_bytes = 0
        self.write(type="taken", offset=self.client.inbox)

    def _drain(self, frame):
        """The gate stays open; the next connection comes when this one has ended."""
        within = frame["reconnect_after_ms"] or []
        self.within = tuple(ms / 1000 for ms in within) if len(within) == 2 else (0, 0)

    def _lives(self):
        self.disarm("probe")
        heartbeat = self.heartbeat
        if heartbeat:
            silence = (heartbeat["interval_ms"] + heartbeat["timeout_ms"]) / 1000
            self.arm("silence", silence, 4203, "heartbeat.dead", f"nothing came for {silence} s")

    def _tell(self):
        if self.ready:
            self.state = "degraded" if self.impaired else "processing_ready"
        self.client.tell_state(self.state, self.pending, self.impaired)


def _now():
    return asyncio.get_running_loop().time()
