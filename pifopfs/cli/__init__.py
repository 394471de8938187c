"""The command line: arguments to a configuration, errors to a sentence and an exit code.

    group       the command `pifopfs`, which loads the module of the command that is called
    loading     much code at once
    options     types of options
    reporting   failures in a sentence, with an exit code
    background  commands that go on there, and their logs
    connecting  a service, found by the options for that
    mounting    a mount, from its command line on

Each other module is a command. The only package that prints or exits.
"""

from __future__ import annotations

from pifopfs.cli.group import pifopfs
from pifopfs.cli.reporting import EXIT_CODE_HELP, EXIT_CODES, reported
from pifopfs.mount import daemon

__all__ = ["EXIT_CODES", "EXIT_CODE_HELP", "main"]


def main() -> None:
    """The entry point of the command `pifopfs`."""
    daemon.open_standard_streams()
    with reported():
        pifopfs(prog_name="pifopfs")
