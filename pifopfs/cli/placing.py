"""Files that belong somewhere on this machine, put there or taken away: all of them, or none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pifopfs.errors import FileInTheWay, SetupError


@dataclass(frozen=True, slots=True)
class Placed:
    """A file with its content, or a link."""

    path: Path
    content: str = ""
    link: Path | None = None

    def there(self) -> bool:
        """Whether anything has its name."""
        return os.path.lexists(self.path)

    def as_it_should_be(self) -> bool:
        """Raises OSError."""
        if self.link is not None or self.path.is_symlink():
            return self.path.is_symlink() and self.path.readlink() == self.link
        return self.path.is_file() and self.path.read_bytes() == os.fsencode(self.content)

    def write(self) -> None:
        """Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        if self.link is not None:
            aside.symlink_to(self.link)
        else:
            aside.write_bytes(os.fsencode(self.content))
            aside.chmod(0o644)
        aside.replace(self.path)


def place(files: Iterable[Placed], *, force: bool) -> list[Path]:
    """Write those that are not there yet, whose paths are returned.

    `force`: others of their names are replaced. Raises FileInTheWay, SetupError.
    """
    with _allowed():
        wanted = [file for file in files if not file.as_it_should_be()]
        _check([file.path for file in wanted if file.there()], force=force)
        for file in wanted:
            file.write()
    return [file.path for file in wanted]


def remove(files: Iterable[Placed], *, force: bool) -> list[Path]:
    """Remove those that are there, whose paths are returned.

    `force`: also those that are not as they would be written. Raises FileInTheWay, SetupError.
    """
    with _allowed():
        there = [file for file in files if file.there()]
        _check([file.path for file in there if not file.as_it_should_be()], force=force)
        for file in there:
            file.path.unlink()
    return [file.path for file in there]


def _check(others: list[Path], *, force: bool) -> None:
    if others and not force:
        names = ", ".join(map(str, others))
        raise FileInTheWay(
            f"not written by this pifopfs, or changed since: {names}; move it away, or use --force"
        )


@contextmanager
def _allowed() -> Iterator[None]:
    """Raises SetupError in place of OSError."""
    try:
        yield
    except PermissionError as error:
        raise SetupError(
            f"{error.filename}: {error.strerror}; use sudo, or --user for units of your own"
        ) from error
    except OSError as error:
        raise SetupError(f"{error.filename}: {error.strerror}") from error
