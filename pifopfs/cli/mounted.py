"""The mounts of this user, found by what the command line names, and asked what they know.

Nothing here touches what is mounted, or makes a request to a service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pifopfs import errors
from pifopfs.cli.texts import shown
from pifopfs.machine import mounts
from pifopfs.mount.asking import Known, ask_for_list
from pifopfs.mount.mountpoint import FILESYSTEM, real_mountpoint
from pifopfs.mount.records import MountRecord, find_records
from pifopfs.paths import find_folder, mountpoint_path


@dataclass(frozen=True, slots=True)
class UserMount:
    """One mount, and what it knows; None where it is dead, or of a version that does not tell."""

    record: MountRecord
    alive: bool
    known: Known | None

    @property
    def state(self) -> str:
        """A word."""
        if not self.alive:
            return "dead"
        return "mounted" if self.known is not None else "untold"


def all_mounts() -> list[UserMount]:
    """Those that live, and dead ones that are still in the mount table."""
    table = {str(each.mountpoint) for each in mounts() if each.filesystem == FILESYSTEM}
    found = []
    for record in find_records():
        alive = record.alive()
        if alive or record.mountpoint in table:
            found.append(UserMount(record, alive, _known(record) if alive else None))
    return found


def _known(record: MountRecord) -> Known | None:
    try:
        return ask_for_list(Path(record.mountpoint), most=0)
    except errors.MountpointInvalid:  # it may have ended just now, or be older than this question
        return None


def named_mount(target: str) -> MountRecord:
    """The live mount of a path in it, or of a function that is mounted once.

    Raises MountpointInvalid.
    """
    records = find_records()
    record = _of_path(records, target) or _of_function(records, target)
    if not record.alive():
        raise errors.MountpointInvalid(
            f"the mount on {shown(record.mountpoint)} is dead: its daemon has ended; "
            "mount the function anew"
        )
    return record


def _of_path(records: Sequence[MountRecord], target: str) -> MountRecord | None:
    """Links are followed only where the path is in no mount by its letters: that may be dead."""
    path = mountpoint_path(Path(target))
    return _record_above(records, path) or _record_above(records, real_mountpoint(path))


def _record_above(records: Sequence[MountRecord], path: Path) -> MountRecord | None:
    above = [record for record in records if path.is_relative_to(record.mountpoint)]
    return max(above, key=lambda record: len(record.mountpoint), default=None)


def _of_function(records: Sequence[MountRecord], target: str) -> MountRecord:
    """Raises MountpointInvalid."""
    try:
        folder = find_folder(target)
    except errors.FunctionArgumentInvalid:
        folder = None
    wanted = None if folder is None else str(folder)
    found = [
        record
        for record in records
        if record.alive() and (record.function == target or (wanted and record.folder == wanted))
    ]
    if not found:
        raise errors.MountpointInvalid(
            f"{shown(target)} is neither in a mount of yours nor a function that is mounted; "
            "pifopfs ps lists your mounts"
        )
    if len(found) > 1:
        where = ", ".join(shown(record.mountpoint) for record in found)
        raise errors.MountpointInvalid(
            f"{shown(target)} is mounted several times; name one mountpoint: {where}"
        )
    return found[0]
