"""The memory of a run: kept within its limit, and the truth told when it was exceeded.

One interface, and three ways behind it: cgroup v2, cgroup v1, and polling where neither can be
had. `choose` takes the first that proves itself on this machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class Run(Protocol):
    """The processes of a run, for those who look at them from outside."""

    def members(self) -> Iterable[int]:
        """Their numbers, as this process sees them."""

    def in_memory_files(self) -> int:
        """Bytes in its filesystems that live in memory."""


class Confinement(Protocol):
    """The memory of one run."""

    join: tuple[Path, ...]
    """Files into which a run's first process writes 0 before it starts any other."""

    async def until_exceeded(self, run: Run) -> None:
        """Return when the limit has been exceeded: what is left of the run must be killed."""

    def exceeded(self) -> bool:
        """Whether it has been, exactly; also after the end of the run. Raises OSError."""

    def kill(self) -> None:
        """Kill what is in it, where this kind can do so at once."""

    async def close(self) -> None:
        """Give up what was set up for it. Its processes have ended."""


class MemoryGuard(Protocol):
    """Confines runs."""

    name: str
    """Such as `cgroup v2`, for the operator."""

    def confine(self, name: str, limit: int) -> Confinement:
        """Set up a run's confinement. `name`: letters and digits. `limit`: bytes. Raises OSError.

        Nothing stays where this fails.
        """

    def clear_up(self) -> None:
        """Kill and remove what a server that died has left."""
