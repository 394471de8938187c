"""Where outputs go. A file has its old bytes until all of the new ones are there.

What is no regular file (a pipe, /dev/null, standard output) is written as the bytes come.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pifopfs.errors import FileUnusable, OptionInvalid
from pifopfs.run.wishes import Wish

PREFIX, SUFFIX = ".pifopfs-", ".part"
"""Of the temporary file beside an output's."""


def is_stream(wish: Wish) -> bool:
    """Whether it is written as the bytes come. Raises OptionInvalid for what cannot be written."""
    if wish.path is None:
        return True
    real = Path(os.path.realpath(wish.path))
    try:  # not of the real path: where a pipe is open, as /dev/stdout, that is none
        mode = os.stat(wish.path).st_mode  # noqa: PTH116
    except FileNotFoundError:
        _check_folder(wish, real.parent)
        return False
    except OSError as error:
        raise OptionInvalid(f"-o {wish.name}: {wish.path}: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise OptionInvalid(f"-o {wish.name}: {wish.path} is a directory; name a file in it")
    if stat.S_ISREG(mode):
        _check_folder(wish, real.parent)
    return not stat.S_ISREG(mode)


def _check_folder(wish: Wish, folder: Path) -> None:
    if not folder.is_dir():
        raise OptionInvalid(f"-o {wish.name}: there is no folder {folder}; make it: mkdir -p")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionInvalid(f"-o {wish.name}: the folder {folder} is not yours to write to")


class Replacement:
    """A temporary file that takes an output, and then the place of the user's file."""

    def __init__(self, wish: Wish) -> None:
        """Raises FileUnusable."""
        assert wish.path is not None  # noqa: S101  # that is a stream
        self._wish = wish
        self._real = Path(os.path.realpath(wish.path))  # what a link leads to, not the link
        self._mode = _mode(self._real)
        try:
            self.file, name = tempfile.mkstemp(SUFFIX, PREFIX, self._real.parent)
        except OSError as error:
            raise self.failed(error) from error
        self._aside: Path | None = Path(name)

    def failed(self, error: OSError) -> FileUnusable:
        """What a failure of the file is called."""
        return FileUnusable(f"-o {self._wish.name}={self._wish.shown}: {error.strerror or error}")

    def empty(self) -> None:
        """For another try."""
        os.ftruncate(self.file, 0)

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return os.fstat(self.file).st_size

    def settle(self) -> None:
        """All has come: it is to be on the disk before it has the name. Raises FileUnusable."""
        try:
            os.fchmod(self.file, self._mode)
            os.fsync(self.file)
        except OSError as error:
            raise self.failed(error) from error

    def commit(self) -> None:
        """Take the place of the user's file. Raises FileUnusable."""
        assert self._aside is not None  # noqa: S101  # once
        try:
            self._aside.replace(self._real)
        except OSError as error:
            raise self.failed(error) from error
        self._aside = None

    def close(self) -> None:
        """Without a `commit` before, as if nothing had been."""
        os.close(self.file)
        if self._aside is not None:
            self._aside.unlink(missing_ok=True)


def commit_all(replacements: Iterable[Replacement]) -> None:
    """All take their places, once all are whole: of one run, not of two. Raises FileUnusable."""
    for replacement in replacements:
        replacement.commit()


def _mode(path: Path) -> int:
    """Of the file that is replaced, without rights of its owner's that writing to it would take
    away; else as any new file has it.
    """
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask
