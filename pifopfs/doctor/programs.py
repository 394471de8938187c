"""Programs of the system, asked for their version."""

from __future__ import annotations

import re
import subprocess

TIMEOUT = 10.0
"""Seconds that one may take to tell its version."""


def version_of(path: str) -> str | None:
    """What it answers to --version, such as `3.14.0`; None where it does not run."""
    try:
        result = subprocess.run(
            [path, "--version"], capture_output=True, check=True, timeout=TIMEOUT
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(rb"\d+(\.\d+)+", result.stdout)
    return found[0].decode() if found else None
