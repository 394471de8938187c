"""What a function may ask for beyond the plain sandbox. Nothing of it is on by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """The field `sandbox` of `function.json`."""

    read_only: tuple[str, ...] = ()
    """Absolute paths of this machine that its program can read, such as an interpreter's."""
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    """Whether it reaches the network, and so every port of this machine's own, too."""
    terminal: bool = False
    """Whether it prints to a terminal: for programs that hold back what they print elsewhere."""


PLAIN = SandboxSettings()
