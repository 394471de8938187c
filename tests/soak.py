"""How long the tests that could go on for ever do so: briefly in scripts/test, long in scripts/soak."""

from __future__ import annotations

import os

SOAK = os.environ.get("SOAK") == "1"
"""Set by scripts/soak."""


def amount(quick: int, soak: int) -> int:
    """So many steps, rounds or cells."""
    return soak if SOAK else quick
