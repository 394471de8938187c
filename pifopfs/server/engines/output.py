"""What a program prints to: a pipe, or a terminal where its function asks for one."""

from __future__ import annotations

import errno
import os
import termios
from collections.abc import Callable

import trio

PIECE = 1 << 16


class Output:
    """Both standard output and standard error, so that their order is kept."""

    def __init__(self, *, terminal: bool) -> None:
        """Raises OSError."""
        if terminal:
            reading, self._writing = os.openpty()
            _leave_newlines_alone(self._writing)
        else:
            reading, self._writing = os.pipe()
        self._stream = trio.lowlevel.FdStream(reading)

    def hand_over(self) -> int:
        """The end for the program, to be closed with `handed_over`."""
        return self._writing

    def handed_over(self) -> None:
        """The program has it now, or will never have it."""
        os.close(self._writing)

    async def read(self, output: Callable[[bytes], None]) -> None:
        """Pass everything on, until the last process that can write has gone."""
        try:
            while piece := await self._stream.receive_some(PIECE):
                output(piece)
        except trio.BrokenResourceError as error:
            if getattr(error.__cause__, "errno", None) != errno.EIO:  # the end of a terminal
                raise

    def close(self) -> None:
        """Let go of it."""
        self._stream.close()


def _leave_newlines_alone(terminal: int) -> None:
    attributes = termios.tcgetattr(terminal)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
