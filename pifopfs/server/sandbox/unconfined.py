"""No sandbox, which an operator has to ask for by name: a process is its user's, like any other."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from pifopfs.server.processes import Trace
from pifopfs.server.sandbox.body import Body, Session
from pifopfs.server.sandbox.isolation import WAITING, Command, Gate
from pifopfs.server.sandbox.launch import Launch
from pifopfs.server.sandbox.line import unbuffered
from pifopfs.server.sandbox.stepdown import User


class Unconfined:
    """Runs each program in a session of its own. One that leaves the session escapes."""

    name = "none"
    user: User | None = None

    def __init__(self, mark: str, descriptors: int) -> None:
        """`mark`: a word by which command lines show whose run it is. `descriptors`: how many open
        files a program may have before it asks for more.
        """
        self._mark = mark
        self._descriptors = descriptors

    def command(self, launch: Launch, groups: Iterable[Path] = (), gate: Gate = WAITING) -> Command:
        joins = [f"echo 0 > {shlex.quote(str(group))} || exit 125" for group in groups]
        first = "\n".join([*joins, f"ulimit -S -n {self._descriptors}", ""])
        return Command(gate.command(self._mark, launch, first), _environment(launch), launch.work)

    async def body(self, pid: int, _: int | None, __: Launch) -> Body:
        return Session(Trace.of(pid))


def _environment(launch: Launch) -> dict[str, str]:
    """Nothing of the server's own but the search path."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(launch.work),
        "TMPDIR": str(launch.temporary),
        **unbuffered(),
        **launch.sandbox.environment,
    }
