"""Why a connection ended, and when the next one is tried."""

import random
from dataclasses import dataclass, field

CLASSES = {"stop", "reauthenticate", "backoff", "immediately", "violation"}
IN_A_ROW = 3


@dataclass
class End:
    code: int
    reason: str = ""
    said: str | None = None  # `bye.class`
    farewell: bool = False  # there was a `bye`
    clause: str | None = None
    retry_after: float | None = None
    within: tuple = (0, 0)  # `reconnect_after_ms` of the drain before, in seconds
    ready_for: float | None = None  # how long the connection had been ready; None: never
    stage: str = "connecting"
    pending: list = field(default_factory=list)

    @property
    def kind(self):
        if self.said:
            return self.said if self.said in CLASSES else "backoff"
        if self.code == 1000 and self.farewell:
            return "stop"
        ranges = {40: "stop", 41: "reauthenticate", 42: "backoff", 43: "immediately", 44: "violation"}
        return ranges.get(self.code // 100, "backoff")


class Retry:
    """Counts failures, and knows how long to wait after each."""

    def __init__(self, options):
        self.options = options
        self.failures = 0
        self.at_once = True  # the one immediate retry is still to be had
        self.row = (None, 0)

    def after(self, end):
        """Seconds until the next attempt, or None: no more."""
        options, kind = self.options, end.kind
        if end.ready_for is not None:
            self.row = (None, 0)
            if end.ready_for >= options.stable_after:
                self.failures, self.at_once = 0, True
        self.row = (kind, self.row[1] + 1 if self.row[0] == kind else 1)
        if kind == "stop" or kind in ("reauthenticate", "violation") and self.row[1] >= IN_A_ROW:
            return None
        at_once = kind == "immediately" and self.at_once
        if at_once:
            self.at_once = False
        else:
            self.failures += 1
        if end.retry_after is not None:
            return min(end.retry_after, options.retry_after_cap)
        if at_once:
            return min(random.uniform(*end.within), options.retry_after_cap)
        if kind == "violation":
            return options.backoff_cap
        if self.failures == 1:
            return random.uniform(0, min(options.backoff_first, options.backoff_cap))
        doubled = options.backoff_base * 2 ** min(self.failures - 1, 30)
        return random.uniform(0, min(doubled, options.backoff_cap))
