"""A guard proves itself by a small run that exceeds a small limit."""

from __future__ import annotations

import secrets
import shlex
import subprocess

import trio

from pifopfs.server.memory import Confinement, MemoryGuard
from pifopfs.server.memory.control_groups import Unavailable

LIMIT = 4 << 20
GROW = "x=12345678; i=0; while [ $i -lt 23 ]; do x=$x$x; i=$((i + 1)); done"
"""To 64 MiB, should nothing stop it."""
TIME = 5.0
"""Seconds after which it is given up."""
NOT_JOINED = 125


async def prove(guard: MemoryGuard) -> None:
    """Raises Unavailable, OSError. Leaves nothing."""
    confinement = guard.confine(f"proof{secrets.token_hex(4)}", LIMIT)
    try:
        if confinement.exceeded():
            raise Unavailable("the kernel counts what never ran")
        await _exceed(confinement)
        if not confinement.exceeded():
            raise Unavailable("a run was not stopped at its limit")
    finally:
        with trio.CancelScope(shield=True):
            await confinement.close()


async def _exceed(confinement: Confinement) -> None:
    joins = [f"echo 0 > {shlex.quote(str(file))} || exit {NOT_JOINED}" for file in confinement.join]
    with trio.move_on_after(TIME) as patience:
        ended = await trio.run_process(
            ["/bin/sh", "-c", "\n".join([*joins, GROW])],
            env={"LC_ALL": "C"},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    if patience.cancelled_caught:
        raise Unavailable(f"a run that reached its limit did not end within {TIME:g} s")
    if ended.returncode == NOT_JOINED:
        raise Unavailable(f"a run cannot join its group: {_last_line(ended)}")


def _last_line(ended: subprocess.CompletedProcess[bytes]) -> str:
    return ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
