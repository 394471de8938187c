"""Mounts of this user: those whose daemon has died, or does not answer."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pifopfs.doctor.findings import Finding, ok, problem, warning
from pifopfs.doctor.records import records
from pifopfs.doctor.subject import Subject
from pifopfs.machine import Mounted, mounts
from pifopfs.mount.mountpoint import COMMAND_TIMEOUT, FILESYSTEM, is_dead
from pifopfs.mount.records import MountRecord

AT_ONCE = 16


def all_mounts(subject: Subject) -> Iterator[Finding]:
    """Those of the mount table, and those of which only a record is left."""
    found = {each.mountpoint: each for each in mounts() if each.filesystem == FILESYSTEM}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        looked_at = list(threads.map(_look, found.values()))
    unwell = [finding for finding in looked_at if finding is not None]
    unwell += [_left(path, record) for path, record in records() if _is_left(record, found)]
    yield from unwell
    if not unwell:
        yield ok(f"mounts: {len(found)}, none of them dead" if found else "nothing is mounted")


def _look(mounted: Mounted) -> Finding | None:
    """What is wrong with one; None for a live one, and for another user's, which is not told."""
    where = shlex.quote(str(mounted.mountpoint))
    began = time.monotonic()
    if is_dead(mounted.mountpoint):
        return problem(
            f"the mount of {mounted.source} on {mounted.mountpoint} is dead: its daemon has died",
            f"pifopfs umount {where}; or mount on it again, which clears it away",
        )
    if time.monotonic() - began >= COMMAND_TIMEOUT:
        return problem(
            f"the mount of {mounted.source} on {mounted.mountpoint} does not answer",
            f"pifopfs umount --force {where}; its daemon's log tells where it waits",
        )
    return None


def _is_left(record: MountRecord, found: dict[Path, Mounted]) -> bool:
    return Path(record.mountpoint) not in found and not record.alive()


def _left(path: Path, record: MountRecord) -> Finding:
    return warning(
        f"the mount of {record.function} on {record.mountpoint} has ended without a word; "
        f"its log is {record.log_file}",
        f"mount it again; or, to forget it, rm {shlex.quote(str(path))}",
    )
