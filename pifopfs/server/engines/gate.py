"""The server's end of a gate: see `sandbox.isolation.GATE`."""

from __future__ import annotations

import contextlib
import socket

import trio

from pifopfs.server.sandbox.isolation import MISSING, READY


class Gate:
    """A socket to the shell that waits in a program's place."""

    def __init__(self) -> None:
        """Raises OSError."""
        ours, self._theirs = socket.socketpair()
        self._ours = trio.socket.from_stdlib_socket(ours)

    def hand_over(self) -> int:
        """The end for the shell, to be closed with `handed_over`."""
        return self._theirs.fileno()

    def handed_over(self) -> None:
        """The shell has it now, or will never have it."""
        self._theirs.close()

    async def answer(self) -> bytes:
        """READY, MISSING where there is no such program, or nothing where the shell never came."""
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while said not in (READY, MISSING):
                piece = await self._ours.recv(len(MISSING))
                if not piece:
                    break
                said += piece
        return said

    async def open(self) -> None:
        """Let the program begin."""
        with contextlib.suppress(OSError):  # it was killed meanwhile
            await self._ours.send(b"go\n")
        self.close()

    def close(self) -> None:
        """Where it was not opened, the shell ends."""
        self._ours.close()
