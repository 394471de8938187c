"""Jobs without a run: their runs' ends were told, although they could not be ended in time."""

from __future__ import annotations

import logging

import trio

from pifopfs.server.engines.slurm.commands import Commands, SlurmAway

log = logging.getLogger(__name__)

AGAIN = 10.0
"""Seconds between attempts to end them."""


class Strays:
    """Of one server, whose jobs' names all begin in the same way."""

    def __init__(self, commands: Commands, prefix: str) -> None:
        self._commands = commands
        self._prefix = prefix
        self._runs: set[str] = set()
        self._suspected = trio.Event()

    def claim(self, name: str) -> None:
        """This job has a run."""
        self._runs.add(name)

    def leave(self, name: str, *, ended: bool) -> None:
        """It has none any more. `ended`: and surely no job."""
        self._runs.discard(name)
        if not ended:
            self._suspected.set()

    async def run(self) -> None:
        """End those that an earlier server has left, and suspected ones, until cancelled."""
        while True:
            while not await self._all_ended():  # noqa: ASYNC110  # Slurm has no event
                await trio.sleep(AGAIN)
            await self._suspected.wait()
            self._suspected = trio.Event()

    async def _all_ended(self) -> bool:
        try:
            there = await self._commands.unfinished(self._prefix)
            for name in there - self._runs:
                log.warning("%s has no run any more, and is cancelled", name)
                await self._commands.cancel(name)
        except SlurmAway as error:
            log.info("strays cannot be looked for now: %s", error)
            return False
        return there <= self._runs
