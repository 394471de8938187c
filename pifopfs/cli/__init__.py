"""The command line: arguments to a configuration, errors to a sentence and an exit code.

The only package that prints or exits.
"""

from __future__ import annotations

from pifopfs.cli import keys, mounts, servers
from pifopfs.cli.group import pifopfs
from pifopfs.cli.reporting import EXIT_CODE_HELP, EXIT_CODES, reported
from pifopfs.mount import daemon

__all__ = ["COMMANDS", "EXIT_CODES", "EXIT_CODE_HELP", "main"]

COMMANDS = (mounts, servers, keys)
"""Each adds its commands to `pifopfs`."""


def main() -> None:
    """The entry point of the command `pifopfs`."""
    daemon.open_standard_streams()
    with reported():
        pifopfs(prog_name="pifopfs")
