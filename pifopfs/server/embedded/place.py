"""Where an embedded server is: decided by the folder alone, so that all its clients meet there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pifopfs.machine import LONGEST_SOCKET_PATH, check_socket_path, runtime_folder, short_key

GREETING = b"pifopfs %b\n"
"""With the manner in which it runs programs."""
LONGEST_GREETING = 1 << 20
END = b"end\n"
"""What a client sends to end the server and all that runs on it."""


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one folder's server."""

    store: Path
    """Executions and their files; survives reboots."""
    http: Path
    """The socket of the REST API."""
    lease: Path
    """The socket that clients hold the server by."""

    @property
    def http_sockets(self) -> tuple[Path, Path]:
        """Where the socket of the REST API is, or else, should its folder go."""
        return self.http, self.store / "http.socket"

    @property
    def lease_sockets(self) -> tuple[Path, Path]:
        return self.lease, self.store / "lease.socket"

    @property
    def http_link(self) -> Path:
        """A link to the socket of the REST API, wherever that is: a client's runtime folder may be
        another one than the server's.
        """
        return self.store / "http"

    @property
    def lease_link(self) -> Path:
        return self.store / "lease"

    @property
    def http_address(self) -> Path:
        """What a client connects to."""
        return _address(self.http_link, self.http)

    @property
    def lease_address(self) -> Path:
        return _address(self.lease_link, self.lease)

    @classmethod
    def of(cls, folder: Path) -> Place:
        """The place of a folder's server. Raises SetupError where there can be none."""
        key = short_key(os.fsencode(folder.resolve()))
        runtime = runtime_folder("folders")
        return cls(
            store=platformdirs.user_state_path("pifopfs") / "folders" / key,
            http=check_socket_path(runtime / f"{key}.http"),
            lease=check_socket_path(runtime / f"{key}.lease"),
        )

    @property
    def log_file(self) -> Path:
        return self.store / "server.log"


def point(link: Path, target: Path) -> None:
    """Make a link lead to a socket, at once. Raises OSError."""
    new = link.with_name(f"{link.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def _address(link: Path, socket: Path) -> Path:
    """The link, where the kernel takes so long a name; else where it leads now."""
    if len(os.fsencode(link)) <= LONGEST_SOCKET_PATH:
        return link
    try:
        return link.readlink()
    except OSError:
        return socket
