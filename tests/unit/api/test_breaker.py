"""A service that is down is asked once in a while, and found again."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from pifopfs import errors
from pifopfs.api import Deadlines, FunctionClient
from pifopfs.api.answers import Call
from pifopfs.api.breaker import FAILURES, LONGEST_RECHECK, CircuitBreaker
from pifopfs.fuse.errnos import errno_of
from tests.fakeservice import FakeService, refuse, reset

RECHECK = 2.0
REFUSED = errors.ConnectionRefused("status of exec_1", "connection refused")


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker(RECHECK)


async def fails(breaker: CircuitBreaker, times: int = FAILURES, took: float = 0) -> None:
    for _ in range(times):
        breaker.admit(Call.STATUS, "status of exec_1")
        began = trio.current_time()
        await trio.sleep(took)
        breaker.failed(Call.STATUS, REFUSED, began)


# > After three calls in a row that reached nobody, or got no answer at all, the service counts as
# > down: calls fail at once,
async def test_calls_fail_at_once_after_some_failures_in_a_row(
    breaker: CircuitBreaker, autojump_clock: MockClock
) -> None:
    await fails(breaker)
    with pytest.raises(errors.ServiceDown, match=r"log of exec_2: connection refused .* 2.0 s"):
        breaker.admit(Call.LOG, "log of exec_2")


# > with the errno of the last failure,
async def test_the_errno_is_that_of_the_last_failure(
    breaker: CircuitBreaker, autojump_clock: MockClock
) -> None:
    await fails(breaker)
    with pytest.raises(errors.ServiceDown) as caught:
        breaker.admit(Call.STATUS, "x")
    assert errno_of(caught.value) == errno_of(REFUSED)


# > and one in two seconds (`PIFOPFS_RECHECK`) is let through.
async def test_one_call_is_let_through_at_a_time(
    breaker: CircuitBreaker, autojump_clock: MockClock
) -> None:
    await fails(breaker)
    for _ in range(3):
        await trio.sleep(RECHECK)
        breaker.admit(Call.STATUS, "the one")
        with pytest.raises(errors.ServiceDown):
            breaker.admit(Call.STATUS, "another, while the one is under way")


# > Any answer ends that.
@pytest.mark.parametrize(("took", "pause"), [(0, RECHECK), (7, 7), (60, LONGEST_RECHECK)])
async def test_a_call_that_waited_in_vain_is_followed_by_a_pause(
    breaker: CircuitBreaker, autojump_clock: MockClock, took: float, pause: float
) -> None:
    """Every call was let through where one took longer than the pause between two."""
    await fails(breaker, took=took)
    await trio.sleep(pause - 0.1)
    with pytest.raises(errors.ServiceDown):
        breaker.admit(Call.STATUS, "too soon")
    await trio.sleep(0.2)
    breaker.admit(Call.STATUS, "in time")


# > Any answer ends that.
@pytest.mark.parametrize(
    "answer", [None, errors.AccessDenied("x", "no"), errors.BadAnswer("x", "")]
)
async def test_any_answer_ends_it(
    breaker: CircuitBreaker,
    autojump_clock: MockClock,
    answer: errors.ServiceError | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    await fails(breaker)
    if answer is None:
        breaker.answered(Call.STATUS)
    else:
        breaker.failed(Call.STATUS, answer, trio.current_time())
    for _ in range(3):
        breaker.admit(Call.STATUS, "x")
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the service counts as down",
        "the service answers again",
    ]


async def test_failures_with_answers_between_them_are_no_outage(
    breaker: CircuitBreaker, autojump_clock: MockClock
) -> None:
    for _ in range(5):
        await fails(breaker, FAILURES - 1)
        breaker.answered(Call.STATUS)
    breaker.admit(Call.STATUS, "x")


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[FunctionClient]:
    deadlines = Deadlines(backoff=0.01, recheck=0.5)
    async with FunctionClient("joe/tsp", endpoint=service.endpoint, deadlines=deadlines) as client:
        yield client


async def test_a_client_stops_asking_a_service_that_is_down_and_finds_it_again(
    client: FunctionClient, service: FakeService
) -> None:
    service.fault("function", reset)
    with trio.fail_after(20):
        while True:
            try:
                await client.function()
            except errors.ServiceDown:
                break
            except errors.ConnectionBroken:
                pass
    asked = service.count("function")
    for _ in range(100):
        with pytest.raises(errors.ServiceError):
            await client.function()
    assert service.count("function") <= asked + 4  # the tries of one that was let through
    await client.create()  # which has another endpoint
    service.heal()
    with trio.fail_after(20):
        while True:
            try:
                await client.function()
                break
            except errors.ServiceDown:
                await trio.sleep(0.05)


async def test_a_service_that_refuses_is_not_down(
    client: FunctionClient, service: FakeService
) -> None:
    service.fault("function", refuse(403))
    for _ in range(5):
        with pytest.raises(errors.AccessDenied):
            await client.function()
    assert service.count("function") == 5


SILENT = errors.NoAnswer("log of exec_1", "no answer in time")


# > Where requests go out and nothing comes back, that holds for the kinds of call only that have
# > gone unanswered themselves.
async def test_one_bad_endpoint_takes_no_other_down(
    breaker: CircuitBreaker, autojump_clock: MockClock
) -> None:
    for _ in range(FAILURES):
        breaker.failed(Call.LOG, SILENT, trio.current_time())
    with pytest.raises(errors.ServiceDown):
        breaker.admit(Call.LOG, "log of exec_2")
    breaker.admit(Call.STATUS, "status of exec_2")
    breaker.failed(Call.STATUS, SILENT, trio.current_time())
    with pytest.raises(errors.ServiceDown):  # nothing has come since, of either
        breaker.admit(Call.STATUS, "status of exec_2")
    breaker.answered(Call.STATUS)
    breaker.admit(Call.STATUS, "status of exec_2")
    with pytest.raises(errors.ServiceDown):
        breaker.admit(Call.LOG, "log of exec_2")


async def test_failures_at_the_same_time_are_one(
    breaker: CircuitBreaker, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    await trio.sleep(1)
    for _ in range(5):
        breaker.failed(Call.CREATE, REFUSED, began)
    breaker.admit(Call.CREATE, "create")


async def test_an_answer_that_broke_in_its_body_is_one(
    breaker: CircuitBreaker, autojump_clock: MockClock
) -> None:
    broken = errors.ConnectionBroken("log of exec_1", "the connection broke")
    for _ in range(5):
        began = trio.current_time()
        await trio.sleep(1)
        breaker.answered(Call.LOG)
        breaker.failed(Call.LOG, broken, began)
    breaker.admit(Call.LOG, "log of exec_2")


async def test_too_many_transfers_here_say_nothing_of_the_service(
    breaker: CircuitBreaker, autojump_clock: MockClock
) -> None:
    for _ in range(5):
        breaker.failed(Call.LOG, errors.NoConnectionFree("x", "all"), trio.current_time())
    breaker.admit(Call.LOG, "log of exec_2")
