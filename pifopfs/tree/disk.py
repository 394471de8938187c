"""Bringing files to the disk, in rounds: one trip to a thread for all that wait for one."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field

import trio

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Round:
    files: set[int] = field(default_factory=set)
    failures: dict[int, OSError] = field(default_factory=dict)


class Disk:
    """The disk that the state folder is on."""

    def __init__(self) -> None:
        self._next = _Round()
        self._busy = trio.Lock()

    async def synced(self, file: int) -> bool:
        """As `sync`; whether it is there."""
        return not await self.sync(file)

    async def synced_apart(self, file: int) -> bool:
        """As `synced`, of so much that no round should wait for it."""
        return not _logged(await trio.to_thread.run_sync(_sync, {file}))

    async def sync(self, *files: int) -> dict[int, OSError]:
        """Return when what was written to these open files before is on the disk.

        Failures are logged, and the result. A cancellation waits, as the files must stay open.
        """
        joined = self._next
        joined.files.update(files)
        with trio.CancelScope(shield=True):
            async with self._busy:
                if joined is self._next:  # nobody else of this round has been here before
                    self._next = _Round()
                    joined.failures = await trio.to_thread.run_sync(_sync, joined.files)
        failures = {file: joined.failures[file] for file in files if file in joined.failures}
        return _logged(failures)


def _sync(files: set[int]) -> dict[int, OSError]:
    failures = {}
    for file in files:
        try:
            os.fdatasync(file)
        except OSError as error:
            failures[file] = error
    return failures


def _logged(failures: dict[int, OSError]) -> dict[int, OSError]:
    for error in failures.values():
        log.warning("a file is not safe from a power cut: %s", error)
    return failures
