"""Folders removed, whatever a program has made in them: of any depth, without permissions.

Neither paths nor the stack nor descriptors grow with the depth: a folder within a folder is moved
up to the top before it is emptied.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

log = logging.getLogger(__name__)

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is below; what resists is told in the log."""
    try:
        if path.is_dir() and not path.is_symlink():
            _Removal(path).run()
        else:
            path.unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("%s cannot be removed: %s", path, error)


class _Removal:
    """Removes one folder. The first failure is raised when all else has been removed."""

    def __init__(self, top: Path) -> None:
        self._path = top
        self._failure: OSError | None = None
        self._waiting: list[str] = []
        """Names of folders in the top one, still to be emptied."""

    def run(self) -> None:
        self._path.chmod(0o700)
        self._top = os.open(self._path, OPEN_FOLDER)
        try:
            self._empty(self._top)
            while self._waiting:
                self._remove(self._waiting.pop())
        finally:
            os.close(self._top)
        if self._failure is not None:
            raise self._failure
        self._path.rmdir()

    def _remove(self, name: str) -> None:
        try:
            os.chmod(name, 0o700, dir_fd=self._top)
            folder = os.open(name, OPEN_FOLDER, dir_fd=self._top)
            try:
                self._empty(folder)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=self._top)
        except OSError as error:
            self._failure = self._failure or error

    def _empty(self, folder: int) -> None:
        with os.scandir(folder) as found:
            entries = list(found)
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    self._waiting.append(self._moved_up(entry.name, folder))
                else:
                    os.unlink(entry.name, dir_fd=folder)
            except OSError as error:
                self._failure = self._failure or error

    def _moved_up(self, name: str, folder: int) -> str:
        """The name of a folder in the top one, after it was moved there."""
        if folder == self._top:
            return name
        os.chmod(name, 0o700, dir_fd=folder)  # else it could not get another parent
        new = secrets.token_hex(8)
        os.rename(name, new, src_dir_fd=folder, dst_dir_fd=self._top)
        return new
