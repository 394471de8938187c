"""What requests were made and how they went: the last thousand one by one, all of them in numbers.

A request is what a caller asked for, all its tries together. Nothing secret comes in here: no
headers, no query, no bodies and no words of the service.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pifopfs.api.answers import Call
from pifopfs.api.requests import Request
from pifopfs.errors import ServiceDown, ServiceError
from pifopfs.observing import ids
from pifopfs.observing.histogram import Histogram

log = logging.getLogger(__name__)

KEPT = 1000
FAILURE = 300
"""From which code on an answer is no success."""
FIELDS = ("id", "endpoint", "method", "path", "code", "error", "attempts", "sent", "received")
CANCELLED = "cancelled"
"""In the place of an error: nobody wants the answer any more."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What it took."""

    attempts: int
    code: int | None
    sent: int
    received: int


@dataclass(eq=False, slots=True)
class Record:
    """One request."""

    call: Call
    method: str
    path: str
    """Percent-encoded, without the query."""
    id: str = field(default_factory=lambda: ids.current.get() or ids.new_id())
    began: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)
    """The same on a clock that nobody sets."""
    attempts: int = 0
    code: int | None = None
    """Of the last answer; None where nothing came."""
    error: str | None = None
    """The name of the error that it ended with."""
    sent: int = 0
    received: int = 0
    """Bytes of bodies, as they went over the connection."""
    seconds: float | None = None
    """What it took; None while it is under way."""

    @property
    def endpoint(self) -> str:
        return self.call.endpoint

    @property
    def outcome(self) -> str:
        """The error where it is not what the HTTP code tells, else that."""
        told = self.code is not None and (self.error is None or self.code >= FAILURE)
        return str(self.code) if told else self.error or ""

    def attempt(self) -> None:
        """It is sent, once more."""
        self.attempts += 1
        self.code = None

    def take(self, tally: Tally) -> None:
        """Another process has made it."""
        self.attempts, self.code = tally.attempts, tally.code
        self.sent, self.received = tally.sent, tally.received

    def line(self) -> str:
        """As a line of JSON."""
        began = datetime.fromtimestamp(self.began, UTC).isoformat(timespec="milliseconds")
        seconds = None if self.seconds is None else round(self.seconds, 6)
        told = {name: getattr(self, name) for name in FIELDS}
        return json.dumps({"time": began, **told, "seconds": seconds})


_NONE = Record(Call.FUNCTION, "", "", id="")
current: ContextVar[Record] = ContextVar("record", default=_NONE)
"""The request that a task makes."""


class Recorder:
    """The requests of one client."""

    def __init__(self) -> None:
        self._last: deque[Record] = deque(maxlen=KEPT)
        self.outcomes: Counter[tuple[Call, str]] = Counter()
        """How many ended in which way."""
        self.seconds: defaultdict[Call, Histogram] = defaultdict(Histogram)
        self.retries: Counter[Call] = Counter()
        self.sent: Counter[Call] = Counter()
        self.received: Counter[Call] = Counter()
        """Bytes of bodies."""
        self.held_back = 0
        """Requests that were not made because the service counts as down."""

    def begin(self, request: Request) -> Record:
        """A request is to be made. It is listed once it is."""
        return Record(request.call, request.method, request.path)

    def sending(self, record: Record) -> None:
        """An attempt begins."""
        if not record.attempts:
            self._last.append(record)
        record.attempt()

    @contextmanager
    def noting(self, record: Record, *, last: bool = True) -> Iterator[None]:
        """What fails inside ends the record, and knows it; success does where it is the `last`."""
        try:
            yield
        except ServiceError as error:
            error.request = error.request or record.id
            self._end(record, type(error).__name__, held_back=isinstance(error, ServiceDown))
            raise
        except BaseException as error:
            self._end(record, type(error).__name__ if isinstance(error, Exception) else CANCELLED)
            raise
        if last:
            self._end(record, None)

    def _end(self, record: Record, error: str | None, *, held_back: bool = False) -> None:
        if not record.attempts:
            self.held_back += held_back
            return
        record.error, record.seconds = error, time.monotonic() - record.started
        self.outcomes[record.call, record.outcome] += 1
        self.seconds[record.call].add(record.seconds)
        self.retries[record.call] += record.attempts - 1
        self.sent[record.call] += record.sent
        self.received[record.call] += record.received
        if log.isEnabledFor(logging.DEBUG):
            with about(record):
                log.debug("%s", record.line())

    def tally(self, id_: str) -> Tally | None:
        """What the last request of this id took, None where there was none."""
        record = next((each for each in reversed(self._last) if each.id == id_), None)
        if record is None:
            return None
        return Tally(record.attempts, record.code, record.sent, record.received)

    def render(self) -> bytes:
        """The last requests as lines of JSON, in the order of their beginning."""
        return "".join(f"{record.line()}\n" for record in self._last).encode()


@contextmanager
def about(record: Record) -> Iterator[None]:
    """What this task does is about this request."""
    id_, mine = ids.current.set(record.id), current.set(record)
    try:
        yield
    finally:
        ids.current.reset(id_)
        current.reset(mine)
