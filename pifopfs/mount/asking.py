"""What a live mount is asked over its control socket; `control` answers.

Without an event loop: a command that asks is to be quick.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from pifopfs.errors import MountpointInvalid
from pifopfs.mount.mountpoint import real_mountpoint
from pifopfs.mount.records import control_socket

PATIENCE = 10.0
"""Seconds without any answer."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a mount knows of its executions."""

    counts: dict[str, int]
    """How many are in each state."""
    executions: list[dict[str, Any]]
    """As `tree.listing` describes them."""


def forget(mountpoint: Path, name: str) -> str:
    """Have a live mount drop a name; the id, which goes on. Raises MountpointInvalid."""
    mountpoint = real_mountpoint(mountpoint)
    with _asked(mountpoint, {"forget": name}) as answer:
        first = json.loads(answer.readline())
    if "error" in first:
        raise MountpointInvalid(f"{first['error']}; see ls {mountpoint}/executions")
    return str(first["id"])


def ask_for_list(mountpoint: Path, most: int | None = None) -> Known:
    """What a live mount knows, of so many executions at most. Raises MountpointInvalid."""
    executions: list[dict[str, Any]] = []
    with _asked(mountpoint, {"list": {"most": most}}) as answer:
        first = json.loads(answer.readline())
        if "version" not in first:
            raise MountpointInvalid(
                f"the daemon of {mountpoint} cannot tell what it knows, it may be of an older "
                f"version ({first.get('error')}); mount the function anew"
            )
        for line in answer:
            document = json.loads(line)
            if "over" in document:
                return Known(first["counts"], executions)
            executions.append(document)
    raise MountpointInvalid(f"the daemon of {mountpoint} has ended meanwhile; try again")


@contextmanager
def _asked(mountpoint: Path, request: dict[str, Any]) -> Iterator[BufferedReader]:
    """The answer. Raises MountpointInvalid where there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        try:
            connection.connect(os.fspath(control_socket(mountpoint)))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answer:
                yield answer
        except (OSError, ValueError) as error:
            raise MountpointInvalid(
                f"{mountpoint} is not a live mount of yours: {error}; mount the function first"
            ) from error
