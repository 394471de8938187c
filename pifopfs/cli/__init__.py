"""The command line: arguments to a configuration, errors to a sentence and an exit code.

    group       the command `pifopfs`, which loads the module of the command that is called
    loading     much code at once
    options     types of options
    reporting   failures in a sentence, with an exit code
    background  commands that go on there, and their logs
    candidates  what arguments can be, for shells that complete them
    shells      how those shells are answered
    missing     parts that are not on this machine
    connecting  a service, found by the options for that
    mounting    a mount, from its command line on
    running, terminal, bars  a job of `run`, and what is seen of it
    ends        how an execution ended, as an exit code
    naming      executions as arguments name them
    mountfiles, waiting      the files of an execution in a mount, read by `wait` and `logs`
    atservice   … and what they ask a service
    outcomes    what came of what was waited for
    mounted, pages, live     what `ps` finds, and shows
    tables, texts            for people and for programs
    mount_helper, named_options  mount(8) and its `-o`
    examining   what doctor has found
    placing     files that belong somewhere on the machine

Each other module is a command. The only package that prints or exits.
"""

from __future__ import annotations

import os

from pifopfs.cli.group import pifopfs
from pifopfs.cli.reporting import EXIT_CODE_HELP, EXIT_CODES, reported
from pifopfs.mount import daemon

__all__ = ["EXIT_CODES", "EXIT_CODE_HELP", "main"]


def main() -> None:
    """The entry point of the command `pifopfs`."""
    daemon.open_standard_streams()
    with reported():
        if os.environ.get("_PIFOPFS_COMPLETE"):
            from pifopfs.cli import shells  # only then

            shells.prepare()
        pifopfs(prog_name="pifopfs")
