"""A process that starts the server of a folder when it is told to.

It may be made early: it loads what it takes while its client does so, too. Until it is told, it
touches nothing; it ends where its client goes without a word.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pifopfs.errors import SetupError
from pifopfs.server.embedded.place import Place
from pifopfs.server.locks import holder

SECRETS = ("PIFOPFS_API_KEY", "PIFOPFS_API_KEY_FILE", "NOTIFY_SOCKET")
"""Of no use to a folder's server, whose programs could read its environment."""

_prepared: dict[Path, Starter] = {}
"""Those that nobody has taken yet."""


@dataclass(frozen=True, slots=True)
class Starter:
    """One process. Close the connection in any case."""

    process: subprocess.Popen[bytes]
    connection: socket.socket
    """Takes a line of JSON: what to start it with; says how that went, and ends."""


def prepare(folder: Path) -> int | None:
    """Make a starter for the server of a folder (a real path), for who takes it later, maybe in a
    process that is forked: the descriptor to keep. None where there is a server.
    """
    try:
        if holder(Place.of(folder).store) is not None:
            return None
    except (OSError, SetupError):  # it is told of when the server is to start
        return None
    _prepared[folder] = _start(folder)
    return _prepared[folder].connection.fileno()


def take(folder: Path) -> Starter:
    """The starter that was prepared, else a new one."""
    return _prepared.pop(folder, None) or _start(folder)


def _start(folder: Path) -> Starter:
    ours, theirs = socket.socketpair()
    with theirs, contextlib.ExitStack() as undo:
        undo.callback(ours.close)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pifopfs", "serve-folder", "--when-told", str(folder)],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=theirs.fileno(),
            env={name: value for name, value in os.environ.items() if name not in SECRETS},
            start_new_session=True,
        )
        undo.pop_all()
    return Starter(process, ours)
