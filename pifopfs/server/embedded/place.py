"""Where an embedded server is: decided by the folder alone, so that all its clients meet there."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pifopfs.machine import check_socket_path, runtime_folder


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one folder's server."""

    store: Path
    """Executions and their files; survives reboots."""
    http: Path
    """The socket of the REST API."""
    lease: Path
    """The socket that clients hold the server by."""

    @classmethod
    def of(cls, folder: Path) -> Place:
        """The place of a folder's server. Raises SetupError where there can be none."""
        key = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
        runtime = runtime_folder("folders")
        return cls(
            store=platformdirs.user_state_path("pifopfs") / "folders" / key,
            http=check_socket_path(runtime / f"{key}.http"),
            lease=check_socket_path(runtime / f"{key}.lease"),
        )

    @property
    def log_file(self) -> Path:
        return self.store / "server.log"
