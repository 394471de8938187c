"""What was said of an execution is kept in order, and its log handed on once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from pifopfs.api import FunctionClient
from pifopfs.errors import BadAnswer, NoAnswer, ServiceError
from pifopfs.run.following import LogReader, Watched
from pifopfs.run.together import together
from pifopfs.tree.settings import Settings
from pifopfs.wire import Execution, LogPiece

SETTINGS = Settings(Path("/nowhere"), Path("/nowhere"), wait_outage=30)


def execution(status: str = "running", **more: object) -> Execution:
    return Execution.from_json({"id": "exec_1", "status": status, **more})


@dataclass
class Service:
    """A client whose answers are made up; None is no answer."""

    answers: list[Execution | ServiceError] = field(default_factory=list)
    pieces: list[LogPiece] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """For which the status was asked."""

    async def execution(self, execution: str, wait: float = 0.0) -> Execution:
        self.waits.append(wait)
        await trio.sleep(0.25 if wait else 0)
        answer = self.answers.pop(0)
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    async def log(self, execution: str, offset: int = 0) -> LogPiece:
        return self.pieces.pop(0)

    def watched(self) -> Watched:
        return Watched(cast("FunctionClient", self), execution(), SETTINGS, trio.current_time())


def piece(offset: int, content: bytes, **more: Any) -> LogPiece:
    return LogPiece(execution(**more), offset, content, in_pieces=offset > 0)


async def test_what_was_said_before_the_end_never_goes_back() -> None:
    watched = Service().watched()
    watched.observe(execution("ended"))
    watched.observe(execution("running"))
    assert watched.seen.status == "ended"


async def test_a_service_that_cannot_wait_is_asked_at_intervals(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Service([execution()] * 4 + [execution("ended")])
    await service.watched().until_ended()
    assert service.waits[0] > 0
    assert service.waits[1:] == [0, 0, 0, 0]


async def test_a_service_that_can_wait_is_asked_for_that(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Service([execution(waited=True)] * 2 + [execution("ended", waited=True)])
    await service.watched().until_ended()
    assert len(service.waits) == 3
    assert all(service.waits)


async def test_an_outage_is_ridden_out_for_so_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Service([NoAnswer("status", "none")] * 1000)
    began = trio.current_time()
    with pytest.raises(NoAnswer):
        await service.watched().until_ended()
    assert 30 < trio.current_time() - began < 35


async def test_a_log_is_handed_on_once_whether_it_comes_in_parts_or_whole() -> None:
    seen: list[bytes] = []

    async def write(data: bytes) -> None:
        seen.append(data)

    service = Service(
        pieces=[piece(0, b"one "), piece(0, b"one two "), piece(8, b"three"), piece(13, b"")]
    )
    reader = LogReader(service.watched(), write)
    for _ in range(4):
        await reader.rest()
    assert seen == [b"one ", b"two ", b"three"]
    service.pieces = [piece(99, b"")]
    with pytest.raises(BadAnswer, match="byte 99"):
        await reader.rest()


async def test_the_first_failure_of_several_is_that_of_all() -> None:
    async def fail() -> None:
        raise NoAnswer("this", "failed")

    with trio.fail_after(1), pytest.raises(NoAnswer, match="this"):
        await together(trio.sleep_forever, fail, trio.sleep_forever)
    await together()
