"""A run as it is handed to an engine, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pifopfs.server.limits import NONE, Limits
from pifopfs.server.sandbox.settings import PLAIN, SandboxSettings


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run."""

    command: tuple[str, ...]
    work: Path
    """The working directory: the run's own copy of the function's folder."""
    temporary: Path
    """An empty folder: for temporary files, where there is no sandbox."""
    limits: Limits = NONE
    """Of these, an engine enforces memory, processes, and disk for each single file."""
    sandbox: SandboxSettings = PLAIN


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended."""

    code: int
    """128 + N for signal N."""
    out_of_memory: bool = False
    """It was killed because of its memory limit."""
