"""The mounts of this user: one small file each, beside its control socket.

A record tells of a live mount while its process lives; a crash leaves it behind.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pifopfs.errors import MountpointInvalid
from pifopfs.machine import (
    SYSTEM_RUNTIME,
    check_socket_path,
    is_hidden,
    runtime_folder,
    short_key,
    start_time,
    try_lock,
)


@dataclass(frozen=True, slots=True)
class MountRecord:
    """A mount. `folder` is None for a function of a service."""

    pid: int
    started: int
    """The process's start time in clock ticks: tells it from a later one of the same number."""
    mountpoint: str
    function: str
    folder: str | None
    log_file: str
    since: float = 0.0
    """When it was mounted, in seconds since 1970: the time of the file, which does not hold it."""

    def alive(self) -> bool:
        """Whether the daemon still runs. Where /proc hides it (`hidepid`), a process of its number
        that is ours is taken for it.
        """
        return start_time(self.pid) == self.started or is_hidden(self.pid)


def _folder() -> Path:
    return runtime_folder("mounts")


def folders() -> list[Path]:
    """Where there may be records of this user's mounts; for root also of those made at boot."""
    system = SYSTEM_RUNTIME / "pifopfs" / "mounts"
    root = os.getuid() == 0 and system.is_dir()
    return list(dict.fromkeys([_folder(), system])) if root else [_folder()]


def _file(mountpoint: Path, suffix: str) -> Path:
    """Where it is; where there is none, where a new one belongs."""
    name = f"{_key(mountpoint)}{suffix}"
    return next((path / name for path in folders() if (path / name).exists()), _folder() / name)


def _key(mountpoint: Path) -> str:
    return short_key(os.fsencode(mountpoint))


def control_socket(mountpoint: Path) -> Path:
    """Where the daemon of a mount listens."""
    return check_socket_path(_file(mountpoint, ".sock"))


def find_record(mountpoint: Path) -> MountRecord | None:
    """The record of the last mount on this path that has not ended in order."""
    return _read(_file(mountpoint, ".json"))


def find_records() -> list[MountRecord]:
    """All of them, by mountpoint."""
    found = [_read(path) for folder in folders() for path in folder.glob("*.json")]
    records = [record for record in found if record is not None]
    return sorted(records, key=lambda record: record.mountpoint)


def _read(path: Path) -> MountRecord | None:
    """None where there is none. Other versions may write more, or less."""
    known = {field.name for field in fields(MountRecord)} - {"since"}
    try:
        document = json.loads(path.read_text())
        parts = {name: value for name, value in document.items() if name in known}
        return MountRecord(**parts, since=path.stat().st_mtime)
    except (OSError, ValueError, TypeError, AttributeError):
        return None


@contextmanager
def claimed(mountpoint: Path) -> Iterator[None]:
    """Keep other processes from mounting here while this one does. Raises MountpointInvalid."""
    handle = try_lock(_folder() / f"{_key(mountpoint)}.lock")
    if handle is None:
        raise MountpointInvalid(f"another process is mounting on {mountpoint}; try again")
    try:
        yield
    finally:
        os.close(handle)


def remove_record(mountpoint: Path) -> None:
    """Drop what a mount that died has left."""
    for path in (_file(mountpoint, ".json"), control_socket(mountpoint)):
        path.unlink(missing_ok=True)


@contextmanager
def recorded(mountpoint: Path, function: str, folder: Path | None, log: Path) -> Iterator[None]:
    """Keep a record while the block runs."""
    pid, path = os.getpid(), _folder() / f"{_key(mountpoint)}.json"
    record = MountRecord(
        pid,
        start_time(pid) or 0,
        str(mountpoint),
        function,
        None if folder is None else str(folder),
        str(log),
    )
    aside = path.with_suffix(".new")
    document = asdict(record)
    del document["since"]
    aside.write_text(json.dumps(document))
    aside.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
