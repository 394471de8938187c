"""The files of one run: a copy of the function's folder with the inputs in it, and its outputs.

Outputs are opened one component of their path after the other and never through a link, so that
a program cannot make the server read what is not its own.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from pifopfs.server.copying import copy_folder
from pifopfs.server.function_file import ServedFunction
from pifopfs.server.removal import remove
from pifopfs.server.sandbox.stepdown import User
from pifopfs.wire import FileSpec

NOT_PRODUCED = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EISDIR,
    errno.EACCES,
    errno.ENXIO,
}
"""How opening fails where a program has left no regular file. Other failures are the server's."""


def prepare(
    function: ServedFunction, folder: Path, still_wanted: Callable[[], None], user: User | None
) -> None:
    """Make `work` and `tmp` in an execution's folder, for `user`; see `copy_folder`. Where a server
    has died over that, it is gone on with.

    Raises OSError.
    """
    work = folder / "work"
    own = partial(give, user)
    if not work.exists():
        copy = folder / "copy"
        remove(copy)
        copy_folder(function.folder, copy, folder.parent, still_wanted, own)
        for spec in function.output:  # a stale one must not be taken for a result
            _place(copy, spec).unlink(missing_ok=True)
        copy.rename(work)
    (folder / "tmp").mkdir(exist_ok=True)
    for spec in function.input:
        uploaded, target = folder / "inputs" / spec.id, _place(work, spec)
        _make_folders(target.parent, own)
        if uploaded.exists():
            target.unlink(missing_ok=True)
            uploaded.replace(target)
            own(target)


def give(user: User | None, path: Path) -> None:
    """Make it a user's; None is this process's own. Raises OSError."""
    if user is not None:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


def _make_folders(path: Path, own: Callable[[Path], None]) -> None:
    """As mkdir -p."""
    if not path.is_dir():
        _make_folders(path.parent, own)
        path.mkdir()
        own(path)


def _place(work: Path, spec: FileSpec) -> Path:
    """Where an input or output is. Raises OSError where a link leads out of the copy."""
    place = work / (spec.path or spec.id)
    if not place.parent.resolve().is_relative_to(work.resolve()):
        raise OSError(f"{spec.path} leads out of the function's folder through a link")
    return place


def produced(specs: Iterable[FileSpec], folder: Path) -> tuple[FileSpec, ...]:
    """The outputs that are there and their sizes, in the order in which they are declared.

    Raises OSError.
    """
    found = []
    for spec in specs:
        file = open_output(folder, spec)
        if file is not None:
            found.append(replace(spec, size=os.fstat(file).st_size))
            os.close(file)
    return tuple(found)


def open_output(folder: Path, spec: FileSpec) -> int | None:
    """A descriptor of an output, None where it is no regular file of the run. Raises OSError."""
    try:
        file = _open_below(folder / "work", PurePosixPath(spec.path or spec.id).parts)
    except OSError as error:
        if error.errno not in NOT_PRODUCED:
            raise
        return None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


def _open_below(folder: Path, parts: tuple[str, ...]) -> int:
    *parents, name = parts
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    where = os.open(folder, flags | os.O_DIRECTORY)
    try:
        for parent in parents:
            below = os.open(parent, flags | os.O_DIRECTORY, dir_fd=where)
            os.close(where)
            where = below
        return os.open(name, flags | os.O_NONBLOCK, dir_fd=where)
    finally:
        os.close(where)
