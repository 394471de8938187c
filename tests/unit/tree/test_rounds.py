"""Files reach the disk in rounds, one for all that wait."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import trio

from pifopfs.tree.disk import Disk
from tests.fakeservice import until


class Fdatasync:
    """It stands still while `closed`, and tells which files it was called for."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.files: list[int] = []

    def __call__(self, file: int) -> None:
        self.files.append(file)
        assert self.go.wait(20)
        os.fstat(file)


@pytest.fixture
def fdatasync(monkeypatch: pytest.MonkeyPatch) -> Fdatasync:
    fake = Fdatasync()
    monkeypatch.setattr(os, "fdatasync", fake)
    return fake


async def test_all_that_wait_share_a_round(fdatasync: Fdatasync, tmp_path: Path) -> None:
    disk = Disk()
    with (tmp_path / "a").open("wb") as a, (tmp_path / "b").open("wb") as b:
        fdatasync.go.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(disk.sync, a.fileno())
            await trio.to_thread.run_sync(until, lambda: fdatasync.files)
            for _ in range(20):
                nursery.start_soon(disk.sync, a.fileno(), b.fileno())
            await trio.testing.wait_all_tasks_blocked()
            fdatasync.go.set()
        assert sorted(fdatasync.files[1:]) == sorted({a.fileno(), b.fileno()})


async def test_who_asks_during_a_round_waits_for_the_next(
    fdatasync: Fdatasync, tmp_path: Path
) -> None:
    """What was written since may not be in the one under way."""
    disk = Disk()
    with (tmp_path / "a").open("wb") as a:
        fdatasync.go.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(disk.sync, a.fileno())
            await trio.to_thread.run_sync(until, lambda: fdatasync.files)
            nursery.start_soon(disk.sync, a.fileno())
            await trio.testing.wait_all_tasks_blocked()
            fdatasync.go.set()
        assert fdatasync.files == [a.fileno()] * 2


async def test_a_failure_is_told_to_whom_it_concerns(tmp_path: Path) -> None:
    disk, results = Disk(), []
    read, write = os.pipe()  # which cannot be synced

    async def ask(*files: int) -> None:
        results.append(await disk.sync(*files))

    with (tmp_path / "a").open("wb") as a:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, a.fileno())
            nursery.start_soon(ask, a.fileno(), write)
    os.close(read)
    os.close(write)
    assert sorted(len(failures) for failures in results) == [0, 1]


async def test_the_files_stay_open_until_a_cancelled_round_is_over(
    fdatasync: Fdatasync, tmp_path: Path
) -> None:
    disk = Disk()
    with (tmp_path / "a").open("wb") as a:
        fdatasync.go.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(disk.sync, a.fileno())
            await trio.to_thread.run_sync(until, lambda: fdatasync.files)
            threading.Timer(0.2, fdatasync.go.set).start()
            nursery.cancel_scope.cancel()
        assert fdatasync.go.is_set()
