"""Executions as the command line names them: a path in a mount, or a function and ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pifopfs import errors
from pifopfs.mount.mountpoint import FILESYSTEM, find_mount, real_mountpoint
from pifopfs.paths import find_folder, mountpoint_path
from pifopfs.wire import ExecutionId

EXECUTION_ID = re.compile(r"exec_[A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class InMount:
    """An execution by its folder. Nothing of the mount is touched to find it: it may be dead."""

    given: str
    """As the user names it."""
    folder: Path


@dataclass(frozen=True, slots=True)
class AtService:
    """Executions of a function, by their ids."""

    function: str
    ids: tuple[ExecutionId, ...]


def find(arguments: Sequence[str]) -> list[InMount] | AtService:
    """What they name: MOUNTPOINT/executions/NAME…, or FUNCTION EXEC_ID….

    Raises OptionInvalid, FunctionArgumentInvalid, MountpointInvalid.
    """
    paths = [in_mount(argument) for argument in arguments]
    found = [path for path in paths if path is not None]
    if len(found) == len(arguments):
        return found
    function, *ids = arguments
    if ids and not found and all(map(EXECUTION_ID.fullmatch, ids)):
        find_folder(function)  # raises where it names none
        return AtService(function, tuple(map(ExecutionId, ids)))
    lost = next(argument for argument, path in zip(arguments, paths, strict=True) if path is None)
    raise errors.OptionInvalid(
        f"{lost} is not of the form MOUNTPOINT/executions/NAME with a function mounted on "
        "MOUNTPOINT; without a mount, give the function and the id: FUNCTION EXEC_ID"
    )


def in_mount(argument: str) -> InMount | None:
    """The execution of a path by its letters, None where it is not that of one."""
    path = mountpoint_path(Path(argument))
    if path.parent.name != "executions":
        return None
    mountpoint = real_mountpoint(path.parent.parent)
    mounted = find_mount(mountpoint)
    if mounted is None or mounted.filesystem != FILESYSTEM:
        return None
    return InMount(argument, mountpoint / "executions" / path.name)
