"""Mounts of the real command line, each with folders of its own."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.processes import family, module, run
from tests.mount.harness import environment

COMES_UP = 3.0
"""Seconds in which a mount whose command was ended may come up yet."""
PIFOPFS = Path(sys.executable).parent / "pifopfs"


class Mount:
    """One mount; `path` is where it is."""

    def __init__(
        self, root: Path, function: str, *flags: str, env: Mapping[str, str] | None = None
    ) -> None:
        self.root = root
        self.path = root / "mnt"
        self.path.mkdir(parents=True)
        self.env = environment(root) | dict(env or {})
        self.command = [PIFOPFS, "mount", function, self.path, *flags]
        self._numbers = itertools.count()
        self._of_folder = function.startswith("/")

    @property
    def executions(self) -> Path:
        return self.path / "executions"

    def mount(self) -> None:
        """Raises RowFailed."""
        run(self.command, within=30, env=self.env)

    def umount(self, *flags: str) -> None:
        """With the server of a folder. Raises RowFailed."""
        stop = ["--stop-jobs"] if self._of_folder else []
        run([PIFOPFS, "umount", *flags, *stop, self.path], within=30, env=self.env)

    def processes(self) -> list[int]:
        """The daemon and its helpers."""
        (record,) = (self.root / "run" / "pifopfs" / "mounts").glob("*.json")
        return family(int(json.loads(record.read_text())["pid"]))

    def make(self) -> Path:
        """A new execution, of a name that was not there before."""
        path = self.executions / f"made{next(self._numbers)}"
        run(["mkdir", path])
        return path

    def is_mounted(self) -> bool:
        return f" {self.path} " in Path("/proc/self/mountinfo").read_text(errors="replace")


@contextmanager
def mounted(mount: Mount) -> Iterator[Mount]:
    """Mount it while the block runs, whatever happens in there."""
    try:
        mount.mount()
        yield mount
        mount.umount()
    except BaseException:
        _force(mount)
        raise


def _force(mount: Mount) -> None:
    """Nothing of it is left, also where it was interrupted while it came up."""
    end = time.monotonic() + COMES_UP
    while not mount.is_mounted() and time.monotonic() < end:
        time.sleep(0.05)
    if mount.is_mounted():
        mount.umount("--force")


def inside(*words: object, within: float = 120.0) -> Any:
    """What tests/bench/inside.py says, which runs in the mount. Raises RowFailed."""
    return json.loads(run(module("inside", *words), within=within))
