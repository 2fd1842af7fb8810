"""What the application sends: the queue, the window, and exactly one outcome for each send."""

import asyncio
import json
from collections import deque
from typing import NamedTuple

from frames import Breach

MAX_OFFERS = 3
MAX_CONNECTIONS = 3
MAX_KEY_BYTES = 64


class Outcome(NamedTuple):
    outcome: str  # "acknowledged", "refused", "expired" or "unknown"
    code: str | None = None  # why it was refused
    message: str = ""


class Part(NamedTuple):
    event: str
    payload_text: str
    end: bool
    error: str | None

    @property
    def payload(self):
        return json.loads(self.payload_text)


class Json(str):
    """A payload that is JSON text already."""


class Send:
    """One send. Await it for its outcome; iterate over it for the parts of its answer."""

    def __init__(self, outbox, event, payload, policy, key, answer, expires, reader):
        self.outbox, self.event, self.policy, self.key, self.answer = outbox, event, policy, key, answer
        is_text = isinstance(payload, Json)
        self.payload = payload if is_text else json.dumps(payload, ensure_ascii=False, allow_nan=False)
        self.size = len(self.payload.encode())
        self.expires, self.timer = expires, None
        self.id = self.service = self.refusal = None
        self.offers = self.connections = self.not_before = 0
        self.lost = False  # written in a session that was lost, which may have taken it
        self.result = None
        self.cancelled = self.ended = False
        self.parts, self.reader, self.waiting = deque(), reader, []
        self.told = None  # called once with the outcome
        self.held = None  # called with the service that it waits for

    def abandon(self):
        """Give the send up: it is never written, or not written again."""
        self.outbox.abandon(self)

    def cancel(self):
        """Stop the answer."""
        self.outbox.cancel(self)

    def read(self, reader):
        """Hand every part of the answer to `reader`, those that have come first."""
        self.reader = reader
        while self.parts:
            reader(self.parts.popleft())

    def __await__(self):
        while self.result is None:
            yield from self.change().__await__()
        return self.result

    async def __aiter__(self):
        while self.parts or not self.ended:
            while self.parts:
                yield self.parts.popleft()
            if not self.ended:
                await self.change()

    def frame(self, id, keyed):
        head = {"type": "send", "id": id, "event": self.event}
        if self.answer:
            head["answer"] = True
        if self.key is not None and keyed:
            head["key"] = self.key
        return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "payload": {self.payload}}}'

    def part(self, part):
        self.ended = self.ended or part.end
        if self.reader:
            self.reader(part)
        else:
            self.parts.append(part)
        self._wake()

    def settle(self, outcome):
        if self.result is not None:
            return
        self.result = outcome
        if self.timer:
            self.timer.cancel()
        if outcome.outcome != "acknowledged":
            self.ended = True
        if self.told:
            self.told(outcome)
        self._wake()

    def change(self):
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return future

    def _wake(self):
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class Outbox:
    """The sends of one client. `link` is the connection that is ready now, or None: the gate."""

    def __init__(self, options):
        self.options = options
        self.link = None
        self.queue = []  # not written under an id
        self.flight = {}  # by id: written in this session, not decided
        self.written = {}  # by id: bytes in flight on this connection, given up or not
        self.answers = {}  # by id: answers that are open
        self.last_id = self.acknowledged = 0

    def put(self, send):
        options = self.options
        if send.key is not None and len(send.key.encode()) > MAX_KEY_BYTES:
            return send.settle(Outcome("refused", "key_too_long"))
        if send.policy == "fail_fast" and not self.link:
            return send.settle(Outcome("refused", "not_ready"))
        self.queue.append(send)
        loop = asyncio.get_running_loop()
        send.timer = loop.call_at(send.expires, self._expire, send)
        self.flush()
        size = sum(waiting.size for waiting in self.queue)
        if send in self.queue and (len(self.queue) > options.queue_messages or size > options.queue_bytes):
            self.queue.remove(send)
            send.settle(Outcome("refused", "queue_full"))

    def flush(self):
        """Write what may be written: first what was written before, then what waits, in its order."""
        link = self.link
        if not link:
            return
        for send in [send for id, send in self.flight.items() if id not in self.written] + list(self.queue):
            if send.result is not None or link is not self.link:
                continue
            again = send.id is not None
            if not again and (send.service in link.impaired or send.not_before > asyncio.get_running_loop().time()):
                continue
            id = send.id if again else self.last_id + 1
            frame = send.frame(id, link.resume)
            refusal = None
            if send.answer and not link.answers:
                refusal = "unsupported"
            elif len(frame.encode()) > link.limits["max_message_bytes"]:
                refusal = "too_large"
            if refusal:
                self.flight.pop(id, None) if again else self.queue.remove(send)
                self._fail(send, Outcome("refused", refusal))
                continue
            limits = link.limits
            if len(self.written) >= limits["max_in_flight"]:
                return
            if self.written and sum(self.written.values()) + send.size > limits["max_in_flight_bytes"]:
                return
            if not again:
                self.queue.remove(send)
                send.id = self.last_id = id
                send.service = None
                self.flight[id] = send
                if send.answer:
                    self.answers[id] = send
            self.written[id] = send.size
            link.write_text(frame)
            link.sent()
            if send.cancelled:
                link.cancel(id)

    def ack(self, id):
        """Everything up to `id` is decided; tells whether that was new."""
        self._check(id)
        self.acknowledged = max(self.acknowledged, id)
        new = [written for written in self.written if written <= id]
        for written in new:
            del self.written[written]
        for decided in [decided for decided in self.flight if decided <= id]:
            self.flight.pop(decided).settle(Outcome("acknowledged"))
        return bool(new)

    def nack(self, refusal):
        id = refusal["id"]
        self._check(id)
        new = self.written.pop(id, None) is not None
        send = self.flight.pop(id, None)
        if not send:
            return new
        self.answers.pop(id, None)
        send.id = None
        outcome = Outcome("refused", refusal["code"], refusal["message"] or "")
        now = asyncio.get_running_loop().time()
        again = refusal["retry"] and refusal["service"] and send.policy != "fail_fast"
        if not again or send.offers >= MAX_OFFERS or send.expires <= now or self._full(send):
            self._fail(send, outcome)
            return new
        send.offers, send.service, send.refusal = send.offers + 1, refusal["service"], outcome
        if send.held:
            send.held(send.service)
        send.not_before = now + (refusal["retry_after_ms"] or 0) / 1000
        asyncio.get_running_loop().call_at(send.not_before, self.flush)
        older = [at for at, waiting in enumerate(self.queue) if waiting.refusal or waiting.lost]
        self.queue.insert(older[-1] + 1 if older else 0, send)
        return new

    @property
    def settled(self):
        return min(self.flight, default=self.last_id + 1) - 1

    def resumed(self, received, refused):
        """The session goes on: the server tells what became of what was written."""
        for refusal in refused:
            self.nack(refusal)
        self.ack(received)
        for id, send in self.answers.items():
            if send.cancelled and id not in self.flight:
                self.link.cancel(id)

    def ended(self, link, session):
        """The connection is over. In a session what was written waits for the next one."""
        was_ready, self.link = self.link is link, None
        if was_ready and session and self.written:
            oldest = self.flight.get(min(self.written))
            if oldest:
                oldest.connections += 1
                if oldest.connections >= MAX_CONNECTIONS:
                    self._drop(oldest, Outcome("unknown"))
        self.written.clear()
        if was_ready and not session:
            self.lost(keyed=False)

    def lost(self, keyed):
        """The session is gone: nobody can tell what became of what was written."""
        again = []
        for send in list(self.flight.values()):
            if keyed and send.key is not None:
                self.answers.pop(send.id, None)
                send.id, send.lost = None, True
                again.append(send)
            else:
                self._drop(send, Outcome("unknown"))
        answers, self.answers = self.answers, {}
        for send in answers.values():
            send.part(Part("", "null", True, "session_lost"))
        self.queue = again + self.queue
        self.flight, self.written, self.last_id, self.acknowledged = {}, {}, 0, 0
        for send in again:
            if send.expires <= asyncio.get_running_loop().time():
                self._expire(send)

    def give_up(self, code):
        """Nothing of what waits is sent any more."""
        for send in list(self.flight.values()):
            self._drop(send, Outcome("unknown"))
        for send in list(self.queue):
            self.queue.remove(send)
            self._fail(send, Outcome("refused", code))

    def abandon(self, send):
        if send in self.queue:
            self.queue.remove(send)
            self._fail(send, send.refusal or Outcome("refused", "withdrawn"))
        elif self.flight.get(send.id) is send:
            self._drop(send, Outcome("unknown"))
            self.flush()

    def cancel(self, send):
        if send.cancelled or send.ended:
            return
        send.cancelled = True
        if send in self.queue:
            self.abandon(send)
        elif send.id in self.written or send.id not in self.flight:
            if self.link:
                self.link.cancel(send.id)

    def part(self, id, part):
        """A part of an answer came. Who does not read loses that answer alone."""
        send = self.answers.get(id)
        if not send:
            return
        unread = sum(len(waiting.payload_text.encode()) for waiting in send.parts) if not send.reader else 0
        if len(send.parts) >= self.options.window_messages or unread > self.options.window_bytes:
            del self.answers[id]
            self.cancel(send)
            part = Part("", "null", True, "slow_consumer")
        elif part.end:
            del self.answers[id]
        send.part(part)

    def _check(self, id):
        if id > self.last_id:
            raise Breach(4400, "ack.not_above_sent", f"{id} was never written")

    def _full(self, send):
        options = self.options
        size = send.size + sum(waiting.size for waiting in self.queue)
        return len(self.queue) >= options.queue_messages or size > options.queue_bytes

    def _drop(self, send, outcome):
        self.flight.pop(send.id, None)
        self.answers.pop(send.id, None)
        send.settle(outcome)

    def _fail(self, send, outcome):
        self.answers.pop(send.id, None)
        # What the lost session may have taken is neither refused nor expired.
        send.settle(Outcome("unknown") if send.lost else outcome)

    def _expire(self, send):
        if send in self.queue:
            self.queue.remove(send)
            self._fail(send, send.refusal or Outcome("expired"))
