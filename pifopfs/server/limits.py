"""How much a run may use. What is enforced is the lowest of the server's, the key's and the
function's limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

MEGABYTE = 1 << 20
MINUTE = 60.0
MOST = 1e12
"""Of any limit, in the API's units: more is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds; None is no limit."""

    memory: int | None = None
    """Of all its processes together, what it keeps in its /tmp and /dev/shm included."""
    time: float | None = None
    """From the launch to the end, on the clock."""
    disk: int | None = None
    """In its working directory."""
    processes: int | None = None
    """And threads, at any one time."""
    log: int | None = None
    """What is kept of what it prints; the rest is dropped."""
    input: int | None = None
    """Of one uploaded file."""

    @classmethod
    def of(cls, given: Mapping[str, float | None]) -> Limits:
        """From the API's words and units, as in `UNITS`."""
        return cls(
            **{
                name.removeprefix("max_"): UNITS[name](value)
                for name, value in given.items()
                if value is not None
            }
        )

    def tightened(self, other: Limits) -> Limits:
        """The lower one of each."""
        pairs = {
            field.name: (getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
        }
        return Limits(
            **{
                name: min((value for value in pair if value is not None), default=None)
                for name, pair in pairs.items()
            }
        )


NONE = Limits()


def _megabytes(value: float) -> int:
    return max(1, round(value * MEGABYTE))


def _minutes(value: float) -> float:
    return value * MINUTE


UNITS: dict[str, Callable[[float], Any]] = {
    "max_memory": _megabytes,
    "max_time": _minutes,
    "max_disk": _megabytes,
    "max_processes": round,
    "max_log": _megabytes,
    "max_input": _megabytes,
}
"""How the API, `function.json` and the command line give each limit: megabytes of 2**20 bytes,
minutes, or a number.
"""

DEFAULT = Limits(disk=65536 * MEGABYTE, processes=1024, log=64 * MEGABYTE, input=65536 * MEGABYTE)
"""A server's own, where its operator says nothing. Memory and time have none, as in the API."""
