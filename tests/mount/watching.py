"""Programs that watch a mount with inotify, for tests: what they are told."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakeservice import until
from tests.mount.harness import Mount

SYSTEMD = "delete_self,move_self,attrib"
PATH_CHANGED = f"{SYSTEMD},close_write,create,delete,moved_from,moved_to"
PATH_MODIFIED = f"{PATH_CHANGED},modify"
DIRECTORY_NOT_EMPTY = f"{SYSTEMD},create,moved_to"
"""What systemd waits for on the path of a path unit: src/core/path.c."""


class Inotifywait:
    """A process that watches paths below the executions; begun when this is made."""

    def __init__(
        self, mount: Mount, events: str, *paths: str, user: int | None = None, more: str = "-m"
    ) -> None:
        """`events` as inotifywait names them, all where that is empty."""
        self._told = mount.root / f"told-{id(self)}"
        kinds = [part for event in events.split(",") if event for part in ("-e", event)]
        wanted = [str(mount.path / "executions" / path) for path in paths]
        with self._told.open("wb") as out:
            self.process = subprocess.Popen(
                ["inotifywait", *more.split(), *kinds, "--format", "%e %w%f", *wanted],
                cwd="/",
                stdout=out,
                stderr=subprocess.STDOUT,
                user=user,
            )
        self._prefix = f"{mount.path}/executions/"
        until(lambda: "Watches established." in self._told.read_text())

    @property
    def told(self) -> list[str]:
        """`EVENT PATH` for each event so far, in order."""
        lines = self._told.read_text().splitlines()
        after = lines[lines.index("Watches established.") + 1 :]
        return [line.replace(self._prefix, "") for line in after]

    def hears(self, event: str) -> bool:
        """Whether it has been told so."""
        return event in self.told

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextmanager
def watching(mount: Mount, events: str, *paths: str, **more: int | str) -> Iterator[Inotifywait]:
    """Somebody watches meanwhile."""
    watcher = Inotifywait(mount, events, *paths, **more)  # type: ignore[arg-type]
    try:
        yield watcher
    finally:
        watcher.end()


def raisers(mount: Mount) -> list[int]:
    """The processes that raise events in this mount."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"raiser.py" in b" ".join(words[:5]) and str(mount.path).encode() in words:
            found.append(int(path.parent.name))
    return found
