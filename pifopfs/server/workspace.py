"""The files of one run: a copy of the function's folder with the inputs in it, and its outputs.

Outputs are opened one component of their path after the other and never through a link, so that
a program cannot make the server read what is not its own.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pifopfs.server.function_file import ServedFunction
from pifopfs.wire import FileSpec


def prepare(function: ServedFunction, folder: Path) -> None:
    """Make `work` and `tmp` in an execution's folder. Raises OSError."""
    work = folder / "work"
    shutil.copytree(
        function.folder,
        work,
        symlinks=True,
        ignore=_LeftOut(function.folder, folder.parent),
        dirs_exist_ok=True,
    )
    (folder / "tmp").mkdir(exist_ok=True)
    make_writable(work)
    for spec in function.output:  # a stale one must not be taken for a result
        _place(work, spec).unlink(missing_ok=True)
    for spec in function.input:
        uploaded, target = folder / "inputs" / spec.id, _place(work, spec)
        target.parent.mkdir(parents=True, exist_ok=True)
        if uploaded.exists():
            target.unlink(missing_ok=True)
            uploaded.replace(target)


class _LeftOut:
    """For copytree: leaves out other filesystems (a mount below the folder), special files, and
    the folder of all executions, should it lie below the function's.
    """

    def __init__(self, root: Path, executions: Path) -> None:
        self._device = root.stat().st_dev
        self._executions = executions.stat()

    def __call__(self, folder: str, names: list[str]) -> set[str]:
        return {name for name in names if not self._belongs(Path(folder, name))}

    def _belongs(self, path: Path) -> bool:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return True
        plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        own = os.path.samestat(status, self._executions)
        return plain and status.st_dev == self._device and not own


def make_writable(folder: Path) -> None:
    """Let this user change and remove what is below: copies keep the modes of their originals."""
    folder.chmod(0o700)
    for entry in os.scandir(folder):
        if entry.is_symlink():
            continue
        if entry.is_dir():
            make_writable(Path(entry))
        else:
            mode = stat.S_IMODE(entry.stat().st_mode)
            Path(entry).chmod(mode | 0o600)


def _place(work: Path, spec: FileSpec) -> Path:
    """Where an input or output is. Raises OSError where a link leads out of the copy."""
    place = work / (spec.path or spec.id)
    if not place.parent.resolve().is_relative_to(work.resolve()):
        raise OSError(f"{spec.path} leads out of the function's folder through a link")
    return place


def produced(specs: Iterable[FileSpec], folder: Path) -> tuple[FileSpec, ...]:
    """The outputs that are there, in the order in which they are declared."""
    found = []
    for spec in specs:
        file = open_output(folder, spec)
        if file is not None:
            os.close(file)
            found.append(spec)
    return tuple(found)


def open_output(folder: Path, spec: FileSpec) -> int | None:
    """A descriptor of an output, None where it is no regular file of the run."""
    *parents, name = PurePosixPath(spec.path or spec.id).parts
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        where = os.open(folder / "work", flags | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        for parent in parents:
            below = os.open(parent, flags | os.O_DIRECTORY, dir_fd=where)
            os.close(where)
            where = below
        file = os.open(name, flags | os.O_NONBLOCK, dir_fd=where)
    except OSError:
        return None
    finally:
        os.close(where)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None
