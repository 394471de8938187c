"""A mount for whole tables of tools: every row gets executions of its own on it.

Rows are shell scripts. They run in a subprocess with a deadline, with these variables: `T`, a
local folder of the row's own; `PY`, the Python of the tests; `U`, the folder of uutils.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from pifopfs.server.removal import remove
from tests.fakeservice import FakeExecution, FakeService, Fault, Handler
from tests.mount.harness import Mount

UUTILS = Path("/usr/lib/cargo/bin/coreutils")
OPTIONAL = {"busybox", "curl", "git", "jq", "less", "make", "rsync", "watch"}
"""Tools that not every machine has."""
DEADLINE = 30.0
"""Seconds that a script may take: none of them waits for anything for long."""
FRESHNESS = 0.05
"""Seconds that these mounts keep what the service said."""
CACHE_SIZE = 50_000_000
"""Bytes of outputs that these mounts keep: more than a row has."""
TROUBLE = re.compile(r"Traceback|^\S+ \S+ (ERROR|CRITICAL) ", re.MULTILINE)
"""What a row must not leave in the daemon's log."""

Done = subprocess.CompletedProcess[str]


class Site:
    """A mount on a service of its own, with a fresh name and local folder for each row."""

    def __init__(self, mount: Mount, service: FakeService) -> None:
        self.mount = mount
        self.service = service
        self._numbers = count()
        self._logged = 0
        service.fault("create", _with_unique_ids())

    def scratch(self) -> Path:
        """A new empty folder on the local disk."""
        folder = self.mount.root / "local" / str(next(self._numbers))
        folder.mkdir(parents=True)
        return folder

    def create(self, after: str = "true", **outputs: bytes) -> Job:
        """A new execution, pending but for what a script in its directory does.

        Where outputs are given it ends as soon as it is started.
        """
        self.service.on_start = lambda it: it.end("normal", **outputs) if outputs else None
        job = Job(self, f"job{next(self._numbers)}")
        run(self.mount.path, job.scratch, f"cd executions; mkdir {job.name} && cd $_ && {after}")
        job.execution = list(self.service.executions.values())[-1]
        return job

    def asked_since(self, before: int) -> list[tuple[str, str]]:
        """The requests after the first `before` ones."""
        return self.service.requests[before:]

    def check_log(self) -> None:
        """Nothing went wrong inside the daemon since the last look."""
        log = self.mount.log
        new, self._logged = log[self._logged :], len(log)
        assert not TROUBLE.search(new), new


class Job:
    """An execution that a row has for itself."""

    execution: FakeExecution
    """As the service has it."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.path = site.mount.path / "executions" / name
        self.scratch = site.scratch()

    def sh(self, script: str, *, check: bool = True) -> Done:
        """Run a script in the execution's directory."""
        return run(self.path, self.scratch, script, check=check)

    def spawn(self, script: str) -> Follower:
        """Start a script that runs on; what it prints is collected on the local disk."""
        collected = f"exec > {self.scratch}/out 2> {self.scratch}/err\n"
        whole = prelude(self.path, self.scratch) + collected + script
        return Follower(self.site.mount.spawn("bash", "-c", whole), self.scratch)

    def start(self) -> None:
        self.sh("echo 1 > start")

    def end(self) -> None:
        """It ends, and the mount knows."""
        self.execution.end()
        assert self.sh("cat wait").stdout == "normal\n"


class Follower:
    """A process that runs on, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str], scratch: Path) -> None:
        self.process = process
        self._scratch = scratch

    @property
    def out(self) -> bytes:
        return _content(self._scratch / "out")

    @property
    def err(self) -> str:
        return _content(self._scratch / "err").decode()

    def end(self) -> None:
        """Kill it, if it has not ended by itself."""
        self.process.kill()
        self.process.wait(DEADLINE)


class Terminal:
    """A terminal that a program has as its own; use as a context manager."""

    def __init__(self) -> None:
        self._ours, self._theirs = os.openpty()
        self._name = os.ttyname(self._theirs)
        self._shown = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ours)
        os.close(self._theirs)

    def running(self, command: str) -> str:
        """A script that runs a command on this terminal."""
        size = f"export TERM=xterm; stty -F {self._name} rows 24 cols 80"
        return f"{size}; exec setsid -w -c {command} <{self._name} >{self._name} 2>&1"

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    @property
    def shown(self) -> str:
        """All that was written to it until now."""
        while select.select([self._ours], [], [], 0)[0]:
            self._shown += os.read(self._ours, 65536).decode(errors="replace")
        return self._shown


SITE = pytest.StashKey[Site]()


def shared_site(session: pytest.Session) -> Site:
    """The mount of all tables, which lasts as long as the tests: mounting costs more than a row."""
    if SITE not in session.stash:
        stack = ExitStack()
        session.stash[SITE] = stack.enter_context(_open_site())
        session.addfinalizer(stack.close)
    return session.stash[SITE]


@contextmanager
def _open_site() -> Iterator[Site]:
    root = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    env = {
        "PIFOPFS_FRESHNESS": str(FRESHNESS),
        "PIFOPFS_CACHE_SIZE": str(CACHE_SIZE),
        "PIFOPFS_FUNCTION_AGE": "3600",  # the mount is older than a minute when it is used last
    }
    try:
        with (
            FakeService(root / "s.sock") as service,
            Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=env) as mount,
        ):
            yield Site(mount, service)
    finally:
        remove(root)


def run(folder: Path, scratch: Path, script: str, *, check: bool = True) -> Done:
    """Run a script in a folder of the mount or of the local disk."""
    done = subprocess.run(
        ["bash", "-c", prelude(folder, scratch) + script],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=DEADLINE,
        check=False,
    )
    assert not check or done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done


def prelude(folder: Path, scratch: Path) -> str:
    """The beginning of every script."""
    names = f"T={scratch} PY={sys.executable} U={UUTILS}"
    return f"export LC_ALL=C PYTHONHASHSEED=0 {names}\ncd {folder} || exit 99\n"


def skip_without(script: str) -> None:
    """Skip a row whose tool is not on this machine."""
    missing = [word for word in re.findall(r"\w+", script) if word in OPTIONAL]
    missing = [tool for tool in missing if shutil.which(tool) is None]
    if "$U/" in script and not UUTILS.is_dir():
        missing.append("uutils")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _with_unique_ids() -> Fault:
    """Answers `create` with an id that no execution had before, also after some were deleted."""
    numbers = count()

    def create(handler: Handler) -> None:
        execution = FakeExecution(f"exec_{next(numbers):016d}")
        handler.service.executions[execution.id] = execution
        handler.json(execution.document())

    return create
