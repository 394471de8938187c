"""Which guard a server uses: the best that proves itself, or the one that its operator names."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable

import trio

from pifopfs.errors import OptionInvalid, ServerNotStarted
from pifopfs.server.memory import MemoryGuard, cgroup1, cgroup2, polling
from pifopfs.server.memory.control_groups import Unavailable
from pifopfs.server.memory.proof import prove

log = logging.getLogger(__name__)

VARIABLE = "PIFOPFS_MEMORY_GUARD"
"""Of the environment: a name in `KINDS`, by which an operator forces a kind."""


async def choose(owner: str) -> MemoryGuard:
    """The guard for a server, tried out; the log tells which, and why no better one.

    `owner`: tells this server from all others, and is the same after a restart. Raises
    OptionInvalid, ServerNotStarted.
    """
    forced = os.environ.get(VARIABLE)
    if forced:
        return await _forced(forced, owner)
    reasons: list[str] = []
    for kind, made in KINDS.items():
        guard = await _tried(kind, made, owner, reasons)
        if guard is not None:
            log.info("memory limits: %s%s", guard.name, "".join(f"; {why}" for why in reasons))
            return guard
    raise ServerNotStarted(
        f"memory limits cannot be enforced here ({'; '.join(reasons)}); mount /proc"
    )


async def _forced(kind: str, owner: str) -> MemoryGuard:
    if kind not in KINDS:
        raise OptionInvalid(f"{VARIABLE} is {kind!r}; set it to one of {', '.join(KINDS)}")
    reasons: list[str] = []
    guard = await _tried(kind, KINDS[kind], owner, reasons)
    if guard is None:
        raise ServerNotStarted(f"{VARIABLE} forces what fails ({reasons[0]}); {_advice(kind)}")
    log.info("memory limits: %s, forced by %s", guard.name, VARIABLE)
    return guard


Made = Callable[[str], Awaitable[MemoryGuard]]


async def _tried(kind: str, made: Made, owner: str, reasons: list[str]) -> MemoryGuard | None:
    """None where it fails; `reasons` gets why."""
    try:
        return await made(owner)
    except Unavailable as error:
        reasons.append(f"not {kind}: {error}")
    except OSError as error:
        reasons.append(f"not {kind}: {error.filename or 'it failed'}: {error.strerror}")
    return None


async def _version2(owner: str) -> MemoryGuard:
    guard = cgroup2.Cgroup2(await trio.to_thread.run_sync(cgroup2.prepared), owner)
    await prove(guard)
    return guard


async def _version1(owner: str) -> MemoryGuard:
    guard = cgroup1.Cgroup1(await trio.to_thread.run_sync(cgroup1.prepared), owner)
    await prove(guard)
    return guard


async def _polling(owner: str) -> MemoryGuard:
    return await trio.to_thread.run_sync(polling.prepared)


KINDS: dict[str, Made] = {"v2": _version2, "v1": _version1, "polling": _polling}
"""The best one first."""


def _advice(kind: str) -> str:
    if kind != "v2":
        return f"unset {VARIABLE}"
    user = "" if os.geteuid() == 0 else "--user "
    return (
        "start the server in a group of its own: "
        f"systemd-run {user}--scope -p Delegate=yes pifopfs serve …, or unset {VARIABLE}"
    )
