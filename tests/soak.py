"""How much of the tests that could go on for ever: little in scripts/test, much in scripts/soak."""

from __future__ import annotations

import os

SOAK = os.environ.get("SOAK") == "1"
"""Set by scripts/soak."""


def amount(quick: int, soak: int) -> int:
    """So many steps, rounds or cells."""
    return soak if SOAK else quick
