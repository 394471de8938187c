"""Waiting for an end: the service is asked to tell of it, where it can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio

from pifopfs import wire
from pifopfs.errors import ConnectionBroken
from pifopfs.tree.background import Background
from pifopfs.tree.execution import Execution
from pifopfs.tree.longpolls import AT_ONCE, LongPolls
from pifopfs.tree.rows import ExecutionRow
from pifopfs.tree.settings import Settings
from pifopfs.tree.waiting import EndWatcher
from pifopfs.wire import ExecutionId


def document(id_: str, status: str) -> dict[str, Any]:
    return {"id": id_, "status": status, "func_author": "joe", "func_id": "tsp"}


class Service:
    """It counts what it is asked."""

    def __init__(self, *, knows_wait: bool) -> None:
        self.knows_wait = knows_wait
        self.broken = False
        self.ended = trio.Event()
        self.asked: list[float | None] = []
        self.held = 0
        self.most_held = 0

    async def execution(self, id_: ExecutionId, wait: float | None = None) -> wire.Execution:
        self.asked.append(wait)
        if wait is not None and self.broken:
            raise ConnectionBroken("status", "cut off")
        waited = wait is not None and self.knows_wait
        if wait is not None and self.knows_wait:
            self.held += 1
            self.most_held = max(self.most_held, self.held)
            with trio.move_on_after(wait):
                await self.ended.wait()
            self.held -= 1
        await trio.lowlevel.checkpoint()
        status = "ended" if self.ended.is_set() else "running"
        return wire.Execution.from_json({**document(id_, status), "waited": waited})


@asynccontextmanager
async def running(service: Service, number: int = 1) -> AsyncIterator[list[Execution]]:
    async with trio.open_nursery() as nursery:
        shared: Any = SimpleNamespace(
            client=service,
            names=SimpleNamespace(observe=lambda *_: None),
            settings=Settings(Path(), Path()),
            background=Background(nursery),
            long_polls=LongPolls(),
        )
        rows = [
            ExecutionRow(n, ExecutionId(f"exec_{n}"), f"j{n}", 1, None, None,
                         document(f"exec_{n}", "running"))
            for n in range(number)
        ]  # fmt: skip
        yield [Execution(row, shared) for row in rows]
        nursery.cancel_scope.cancel()


# > A server that can answer when an execution ends, as ours does, is asked for that instead,
async def test_a_service_that_can_is_asked_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Service(knows_wait=True)
    async with running(service) as (execution,), trio.open_nursery() as nursery:
        nursery.start_soon(EndWatcher(execution).ended)
        await trio.sleep(15)
        assert len(service.asked) == 1
        service.ended.set()
    assert execution.ended
    assert len(service.asked) == 1


async def test_a_long_run_is_asked_for_again_and_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Service(knows_wait=True)
    async with running(service) as (execution,), trio.open_nursery() as nursery:
        nursery.start_soon(EndWatcher(execution).ended)
        await trio.sleep(90)
        assert len(service.asked) == 5
        assert None not in service.asked
        service.ended.set()


async def test_a_service_that_cannot_is_asked_that_way_once_in_a_mount(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Service(knows_wait=False)
    async with running(service, 2) as executions:
        for execution in executions:
            service.ended = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(EndWatcher(execution).ended)
                await trio.sleep(20)
                service.ended.set()
            assert execution.ended
    assert len([wait for wait in service.asked if wait is not None]) == 1


# > for 16 waits at once.
async def test_only_so_many_connections_are_held(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Service(knows_wait=True)
    async with (
        running(service, 2 * AT_ONCE) as executions,
        trio.open_nursery() as nursery,
    ):
        for execution in executions:
            nursery.start_soon(EndWatcher(execution).ended)
        await trio.sleep(10)
        service.ended.set()
    assert service.most_held == AT_ONCE == 16
    assert all(execution.ended for execution in executions)


async def test_where_long_answers_are_cut_off_it_asks_by_interval(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Service(knows_wait=True)
    service.broken = True
    async with running(service) as (execution,), trio.open_nursery() as nursery:
        nursery.start_soon(EndWatcher(execution).ended)
        await trio.sleep(20)
        assert len([wait for wait in service.asked if wait is not None]) == 1
        service.ended.set()
    assert execution.ended


async def test_what_another_asker_learns_ends_the_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Service(knows_wait=True)
    async with running(service) as (execution,):
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(EndWatcher(execution).ended)
                await trio.sleep(1)
                execution.observe(wire.Execution.from_json(document(execution.id, "ended")))


async def test_who_stops_waiting_lets_the_connection_go(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = Service(knows_wait=True)
    async with running(service) as (execution,):
        with trio.move_on_after(1):
            await EndWatcher(execution).ended()
        await trio.sleep(60)
        assert len(service.asked) == 1
