"""Paths as the user gives them, made whole. Nothing here touches a mount, which may be dead."""

from __future__ import annotations

import os
from pathlib import Path

from pifopfs.errors import FunctionArgumentInvalid, OptionInvalid


def absolute(path: Path) -> Path:
    """The whole path. Raises OptionInvalid where the current folder has none any more."""
    try:
        return path.absolute()
    except FileNotFoundError:
        raise OptionInvalid(
            f"{path}: the current folder has been deleted; go to another one, or give a path "
            "that begins with /"
        ) from None


def mountpoint_path(path: Path) -> Path:
    """The whole path of a mountpoint, by its letters: a dead mount cannot be asked."""
    return Path(os.path.normpath(absolute(path)))


def find_folder(target: str) -> Path | None:
    """The folder that FUNCTION names, None for `author/id`. Raises FunctionArgumentInvalid."""
    if target.startswith("example:"):
        return _example(target.removeprefix("example:"))
    if target in (".", "..") or target.startswith(("/", "./", "../")):
        folder = absolute(Path(target))
        if not folder.is_dir():
            raise FunctionArgumentInvalid(f"{target} is not a folder; it should hold function.json")
        return folder.resolve()
    author, slash, function = target.partition("/")
    if not (slash and author and function) or "/" in function:
        raise FunctionArgumentInvalid(
            f"{target!r} is neither AUTHOR/ID, nor a folder (/…, ./… or ../…), nor example:NAME"
        )
    return None


def _example(name: str) -> Path:
    examples = Path(__file__).parent / "examples"
    known = sorted(path.parent.name for path in examples.glob("*/function.json"))
    if name not in known:
        raise FunctionArgumentInvalid(
            f"there is no example:{name}; there are {', '.join(known) or 'none'}"
        )
    return examples / name
