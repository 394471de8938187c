"""Connections: a cancelled call takes none of them away for ever."""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing

from pifopfs import errors
from pifopfs.api import FunctionClient
from pifopfs.api.transport import CONNECTIONS
from pifopfs.wire import ExecutionId
from tests.fakeservice import FakeExecution, FakeService, Handler

E = ExecutionId("exec_1")

Call = Callable[[], Awaitable[object]]


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[FunctionClient]:
    """A client of the fake service, which has the execution `E` with the output `r`."""
    service.executions[E] = FakeExecution(E)
    service.executions[E].end(r=b"42")
    async with FunctionClient("joe/tsp", endpoint=service.endpoint) as client:
        yield client


def calls(client: FunctionClient) -> list[Call]:
    """With a body to read, without one, with one to send, and refused."""
    return [
        partial(client.execution, E),
        partial(client.output_size, E, "r"),
        partial(client.upload, E, "coords", b"x" * 1000),
    ]


async def cancelled_after(checkpoints: int, call: Call) -> None:
    """Make a call that is cancelled once the event loop has gone round so often."""

    async def ended(scope: trio.CancelScope) -> None:
        with contextlib.suppress(errors.Refused):  # it came first
            await call()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ended, nursery.cancel_scope)
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def all_at_once(service: FakeService, client: FunctionClient) -> None:
    """As many calls as the pool has connections, none of which is answered before all came.

    Of a kind that no test has made before: what was cancelled may still reach the service.
    """
    barrier = threading.Barrier(CONNECTIONS)

    def together(handler: Handler) -> None:
        barrier.wait(20)
        handler._log(E)

    service.fault("log", together)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(CONNECTIONS):
                nursery.start_soon(client.log, E)


async def test_cancelled_calls_leave_the_pool_whole(
    service: FakeService, client: FunctionClient
) -> None:
    """At every moment between the call and its connection, many times each."""
    for call in calls(client):
        for checkpoints in range(12):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(cancelled_after, checkpoints, call)
    await all_at_once(service, client)


async def test_calls_cancelled_at_random_leave_the_pool_whole(
    service: FakeService, client: FunctionClient
) -> None:
    async def one(call: Call) -> None:
        with trio.move_on_after(random.uniform(0, 0.05)):
            await call()

    for _ in range(5):
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(one, random.choice(calls(client)[:2]))
    await all_at_once(service, client)


async def test_the_calls_that_waited_get_the_places_of_those_that_were_cancelled(
    service: FakeService, client: FunctionClient
) -> None:
    release = threading.Event()

    def held(handler: Handler) -> None:
        release.wait(20)
        handler._status(E)

    service.fault("status", held)
    with trio.fail_after(20):
        async with trio.open_nursery() as waiting, trio.open_nursery() as cancelled:
            for _ in range(CONNECTIONS):
                cancelled.start_soon(client.execution, E)
            await trio.testing.wait_all_tasks_blocked(0.01)
            for _ in range(20):
                waiting.start_soon(client.function)
            await trio.testing.wait_all_tasks_blocked(0.01)
            cancelled.cancel_scope.cancel()
    release.set()


async def test_a_size_leaves_its_connection_for_the_next_call(
    service: FakeService, client: FunctionClient
) -> None:
    """A HEAD has no body; one that is not read to its end would cost the connection."""
    for _ in range(5):
        assert await client.output_size(E, "r") == 2
    assert service.connected == 1


async def test_a_stream_whose_closing_is_cancelled_costs_no_connection(
    service: FakeService, client: FunctionClient
) -> None:
    scope = trio.CancelScope()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            scope.cancel()
            await trio.lowlevel.checkpoint()

    def early(handler: Handler) -> None:
        handler.fail(200, "enough")
        handler.close_connection = True

    service.fault("upload", early)
    for _ in range(3):
        scope = trio.CancelScope()
        with trio.fail_after(20), scope:
            await client.upload(E, "coords", pieces())
    service.heal()
    await all_at_once(service, client)


async def test_regression_what_came_after_an_answer_was_taken_for_the_next_one(
    service: FakeService, client: FunctionClient
) -> None:
    """One execution's document was shown as another's, from then on for every call."""
    other = ExecutionId("exec_2")
    service.executions[other] = FakeExecution(other, "running")

    def too_much(handler: Handler) -> None:
        body = json.dumps(service.executions[E].document()).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        handler.wfile.write((head + body) * 2)

    service.fault("status", too_much, times=1)
    assert (await client.execution(E)).id == E
    assert (await client.execution(other)).id == other
    assert (await client.execution(E)).id == E
    assert service.connected == 2


async def test_an_answer_of_another_execution_is_not_believed(
    service: FakeService, client: FunctionClient
) -> None:
    """Something between us and the service may mix them up."""

    def mixed_up(handler: Handler) -> None:
        handler.json(FakeExecution("exec_2", "running").document() | {"log": "x"})

    for call in (client.execution, client.log):
        service.fault("status", mixed_up, times=1)
        service.fault("log", mixed_up, times=1)
        with pytest.raises(errors.BadAnswer, match="it is of exec_2"):
            await call(E)
