"""What a job shows: its log and progress on stderr, an output on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from pifopfs.cli.texts import shown
from pifopfs.run.sources import Transfer
from pifopfs.run.writing import write_all
from pifopfs.wire import ExecutionId

SMALL = 8 << 20
"""Bytes of a transfer below which no bar is worth loading what draws it."""
STDOUT, STDERR = 1, 2


class Terminal:
    """The audience of `pifopfs.run.job`, whether it is a terminal or not."""

    def __init__(self, *, quiet: bool, announce_to_stderr: bool) -> None:
        """`quiet`: no bars. Where standard output is taken, a kept id is told on stderr."""
        self._quiet = quiet
        self._announce_to_stderr = announce_to_stderr
        self._in_line = False
        self._log_lost = False

    def kept(self, execution: ExecutionId) -> None:
        click.echo(shown(execution), err=self._announce_to_stderr)

    async def log(self, data: bytes) -> None:
        """Without those who read it the job goes on."""
        if self._log_lost:
            return
        try:
            await write_all(STDERR, data)
        except OSError:
            self._log_lost = True
        self._in_line = not data.endswith(b"\n")

    async def out(self, data: bytes) -> None:
        await write_all(STDOUT, data)

    def end_line(self) -> None:
        """What we say ourselves begins a line."""
        if self._in_line and not self._log_lost:
            click.echo(err=True)
        self._in_line = False

    @contextmanager
    def moving(self, verb: str, transfers: Sequence[Transfer]) -> Iterator[None]:
        large = any(transfer.size is None or transfer.size >= SMALL for transfer in transfers)
        if self._quiet or not large or not sys.stderr.isatty():
            yield
            return
        from pifopfs.cli.bars import bars

        self.end_line()
        with bars(verb, transfers, SMALL):
            yield
