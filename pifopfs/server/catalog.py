"""Which functions a server has. Files are read at each look, so that an edit counts at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pifopfs.errors import FunctionArgumentInvalid, FunctionFileInvalid
from pifopfs.server.function_file import FILE_NAME, ID, ServedFunction, load_function


class Catalog(Protocol):
    """Finds functions by author and id."""

    def find(self, author: str, function: str) -> ServedFunction | None:
        """None where there is no such function. Raises FunctionFileInvalid."""


class OneFolder:
    """A single folder with a function.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, author: str, function: str) -> ServedFunction | None:
        served = load_function(self.folder)
        return served if (served.author, served.id) == (author, function) else None


class Root:
    """ROOT/AUTHOR/ID/function.json: the folders' names are the author and the id."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, author: str, function: str) -> ServedFunction | None:
        names = (author, function)
        if any(not ID.fullmatch(name) or name in (".", "..") for name in names):
            return None
        folder = self._root / author / function
        return _agreeing(folder) if (folder / FILE_NAME).is_file() else None

    def names(self) -> list[tuple[str, str]]:
        """Author and id of every folder that should be a function, be it described right or not."""
        found = (path.parent for path in sorted(self._root.glob(f"*/*/{FILE_NAME}")))
        names = ((folder.parent.name, folder.name) for folder in found)
        return [pair for pair in names if all(ID.fullmatch(name) for name in pair)]

    def all(self) -> list[ServedFunction]:
        """Every function. Raises FunctionFileInvalid, and FunctionArgumentInvalid for none."""
        found = [_agreeing(path.parent) for path in sorted(self._root.glob(f"*/*/{FILE_NAME}"))]
        if not found:
            raise FunctionArgumentInvalid(
                f"{self._root} holds no AUTHOR/ID/{FILE_NAME}; put a function's folder there"
            )
        return found


def _agreeing(folder: Path) -> ServedFunction:
    """The function of ROOT/AUTHOR/ID, whose description says nothing else."""
    served, path = load_function(folder), folder / FILE_NAME
    if served.id != folder.name:
        raise FunctionFileInvalid(
            path, "id", f"it is {served.id!r}", f"write {folder.name!r}, the folder's name"
        )
    author = folder.parent.name
    if served.author not in (author, "local"):
        raise FunctionFileInvalid(
            path, "author", f"it is {served.author!r}", f"write {author!r}, as the folder above"
        )
    return replace(served, author=author)
