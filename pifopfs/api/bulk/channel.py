"""Messages, each with a file descriptor or without, between two processes of one program."""

from __future__ import annotations

import array
import pickle
import socket
from typing import Any

import trio

LARGEST = 64 << 10
"""Bytes of a message."""


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Channel:
    """One end. Messages are Python objects: the other end is this program, too."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = trio.socket.from_stdlib_socket(end)

    async def send(self, message: object, file: int | None = None) -> None:
        """Raises OSError where the other end is gone."""
        packet = pickle.dumps(message)
        files = [] if file is None else [file]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        await self._socket.sendmsg([packet], rights if files else [])

    async def receive(self) -> tuple[Any, int | None] | None:
        """A message and its descriptor; None where the other end is gone."""
        room = socket.CMSG_SPACE(array.array("i").itemsize)
        try:
            packet, rights, _, _ = await self._socket.recvmsg(
                LARGEST, room, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            return None
        if not packet:
            return None
        files = array.array("i")
        for _, _, data in rights:
            files.frombytes(data[: len(data) - len(data) % files.itemsize])
        return pickle.loads(packet), files[0] if files else None  # noqa: S301  # our own

    def close(self) -> None:
        self._socket.close()
