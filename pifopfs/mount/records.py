"""Which mounts of this user are live: one small file each, beside its control socket.

A record is true only while its process lives; one left behind by a crash is ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from pifopfs.errors import SetupError


@dataclass(frozen=True, slots=True)
class MountRecord:
    """A live mount. `folder` is None for a function of a service."""

    pid: int
    started: int
    """The process's start time in clock ticks: tells it from a later one of the same number."""
    mountpoint: str
    function: str
    folder: str | None
    log_file: str

    def alive(self) -> bool:
        """Whether the daemon still runs."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """A process's start time, None where there is no such process, or only its zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def runtime_folder() -> Path:
    """A folder that only this user can enter. Raises SetupError where somebody else made it."""
    folder = platformdirs.user_runtime_path("pifopfs") / "mounts"
    for part in (folder.parent, folder):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = part.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise SetupError(f"{part} is not yours; set XDG_RUNTIME_DIR to a folder of your own")
        if stat.S_IMODE(status.st_mode) & 0o077:
            part.chmod(0o700)
    return folder


def _key(mountpoint: Path) -> str:
    return hashlib.sha256(os.fsencode(mountpoint)).hexdigest()[:16]


def control_socket(mountpoint: Path) -> Path:
    """Where the daemon of a mount listens."""
    return runtime_folder() / f"{_key(mountpoint)}.sock"


def find_record(mountpoint: Path) -> MountRecord | None:
    """The record of a live mount on this path."""
    path = runtime_folder() / f"{_key(mountpoint)}.json"
    try:
        record = MountRecord(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if record.alive() else None


@contextmanager
def recorded(mountpoint: Path, function: str, folder: Path | None, log: Path) -> Iterator[None]:
    """Keep a record while the block runs."""
    pid, path = os.getpid(), runtime_folder() / f"{_key(mountpoint)}.json"
    record = MountRecord(
        pid,
        start_time(pid) or 0,
        str(mountpoint),
        function,
        None if folder is None else str(folder),
        str(log),
    )
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(asdict(record)))
    aside.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
