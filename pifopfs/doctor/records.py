"""Records of this user's mounts, read without making the folder that holds them."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import platformdirs

from pifopfs.machine import SYSTEM_RUNTIME
from pifopfs.mount.records import MountRecord

KNOWN = {field.name for field in fields(MountRecord)} - {"since"}


def runtime_folder() -> Path:
    """Where sockets and records are, or would be made. Raises OSError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fallback without XDG_RUNTIME_DIR is as private
        return platformdirs.user_runtime_path("pifopfs")


def records() -> Iterator[tuple[Path, MountRecord]]:
    """Those that can be read, each with its file. Raises OSError."""
    folders = [runtime_folder()]
    if os.getuid() == 0:
        folders.append(SYSTEM_RUNTIME / "pifopfs")
    for folder in folders:
        for path in sorted((folder / "mounts").glob("*.json")):
            try:
                document = json.loads(path.read_text())
                parts = {name: value for name, value in document.items() if name in KNOWN}
                yield path, MountRecord(**parts)
            except (OSError, ValueError, TypeError, AttributeError):
                continue  # it has just gone, is being written, or is of another version


def find_record(mountpoint: Path) -> MountRecord | None:
    """That of a mount, None where there is none."""
    try:
        found = [record for _, record in records() if record.mountpoint == str(mountpoint)]
    except OSError:
        return None
    return found[0] if found else None
