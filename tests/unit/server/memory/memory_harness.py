"""Runs under a memory guard, started like the engine does, without an isolation."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from pifopfs.machine import processes
from pifopfs.server.memory import Confinement, MemoryGuard
from pifopfs.server.processes import Trace, kill_session

MEBIBYTE = 1 << 20
LIMIT = 256 * MEBIBYTE


@dataclass(frozen=True)
class Session:
    """The processes of a run, and the file system in memory that only they see."""

    pid: int
    in_memory: Path | None = None
    size: int = 0

    def members(self) -> Iterable[int]:
        return [found.pid for found in processes() if found.session == self.pid]

    def in_memory_files(self) -> int:
        if self.in_memory is not None:
            with contextlib.suppress(OSError):
                status = os.statvfs(f"/proc/{self.pid}/root{self.in_memory}")
                if status.f_blocks * status.f_frsize == self.size:
                    return (status.f_blocks - status.f_bfree) * status.f_frsize
        return 0


@asynccontextmanager
async def started(confinement: Confinement, *command: str) -> AsyncIterator[trio.Process]:
    """A run, and the end of it."""
    joins = [f"echo 0 > {shlex.quote(str(file))} || exit 125" for file in confinement.join]
    script = "\n".join([*joins, 'exec "$@"'])
    process = await trio.lowlevel.open_process(
        ["/bin/sh", "-c", script, "sh", *command], start_new_session=True
    )
    trace = Trace.of(process.pid)
    try:
        yield process
    finally:
        kill_session(trace)
        with trio.CancelScope(shield=True):
            await process.wait()


async def outcome(
    guard: MemoryGuard,
    *command: str,
    limit: int = LIMIT,
    in_memory: Path | None = None,
    size: int = 0,
) -> tuple[int, bool]:
    """Its exit code, and whether it exceeded its memory; killed when the guard says so."""
    confinement = guard.confine(secrets.token_hex(8), limit)
    try:
        async with started(confinement, *command) as process, trio.open_nursery() as nursery:

            async def kill_when_exceeded() -> None:
                await confinement.until_exceeded(Session(process.pid, in_memory, size))
                kill_session(Trace.of(process.pid))

            nursery.start_soon(kill_when_exceeded)
            with trio.fail_after(30):
                code = await process.wait()
            nursery.cancel_scope.cancel()
        return code, confinement.exceeded()
    finally:
        await confinement.close()
        assert not any(file.exists() for file in confinement.join)


def python(*lines: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(("import time, os, mmap", *lines))]
