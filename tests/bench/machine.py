"""On what it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from tests.bench.origin import NGINX

PACKAGES = ("pifopfs", "pyfuse3", "trio", "httpx", "hypercorn", "starlette")
COMMANDS = {
    "curl": ["curl", "--version"],
    "rclone": ["rclone", "version"],
    "nginx": [NGINX or "nginx", "-v"],
    "fusermount3": ["fusermount3", "--version"],
    "bwrap": ["bwrap", "--version"],
    "commit": ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
}


def facts() -> dict[str, object]:
    """The machine and the versions of what took part; None for what is not there."""
    return {
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "cpu": _cpu(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        **{name: _first_line(command) for name, command in COMMANDS.items()},
    }


def _cpu() -> str | None:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return None


def _first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return (done.stdout or done.stderr).splitlines()[0]
