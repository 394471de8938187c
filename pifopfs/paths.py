"""Paths as the user gives them, made whole. Nothing here touches a mount, which may be dead."""

from __future__ import annotations

import os
from pathlib import Path

from pifopfs.errors import OptionInvalid


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
