"""logs."""

from __future__ import annotations

import os
import select
import signal
from typing import Any

import click

from pifopfs import errors
from pifopfs.cli.candidates import folders
from pifopfs.cli.connecting import connected
from pifopfs.cli.ends import END_CODES, let_signals_end
from pifopfs.cli.loading import loading
from pifopfs.cli.mountfiles import NoExecution, NotStarted, open_file, status, translated
from pifopfs.cli.naming import AtService, InMount, find
from pifopfs.cli.options import of_folder
from pifopfs.cli.reporting import EXIT_CODE_HELP, fail
from pifopfs.cli.texts import shown
from pifopfs.run.ends import WORDS, End

PIECE = 1 << 17
STDOUT = 1
INTERVAL = 1.0
"""Seconds between two looks at a log: the mount fetches it no more often."""


@click.command("logs", epilog=f"{EXIT_CODE_HELP}  16  the execution is no more, or was never there")
@click.argument("execution", nargs=-1, required=True, metavar="EXECUTION", shell_complete=folders)
@click.option("-f", "--follow", is_flag=True, help="Go on until the execution has ended.")
@of_folder
@connected
def command(execution: tuple[str, ...], *, follow: bool, **service: Any) -> None:
    """Print what an execution has printed, and with -f what it goes on to print.

    EXECUTION is MOUNTPOINT/executions/NAME, or FUNCTION EXEC_ID at the service. What it prints
    goes out byte by byte as it came.
    """
    let_signals_end()
    found = find(execution)
    if isinstance(found, AtService):
        if len(found.ids) > 1:
            raise errors.OptionInvalid("logs is for one execution")
        with loading(client=True):
            from pifopfs.cli.atservice import print_log

        try:
            print_log(found.function, found.ids[0], service, follow=follow)
        except errors.ExecutionUnknown:
            _is_gone(found.ids[0])
        return
    if len(found) > 1:
        raise errors.OptionInvalid("logs is for one execution")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who reads it may have seen enough
    try:
        _print_log(found[0], follow=follow)
    except NoExecution:
        _is_gone(found[0].given)


def _is_gone(given: str) -> None:
    fail(f"{shown(given)} {WORDS[End.GONE]}", END_CODES[End.GONE])


def _print_log(where: InMount, *, follow: bool) -> None:
    """Raises NoExecution, MountpointInvalid, ServiceFailure, OSError for standard output."""
    log = open_file(where, "log")
    _pass_on(where, log)
    if not follow:
        return
    end = _End(where)
    while not end.comes(INTERVAL):
        _pass_on(where, log)
    _pass_on(where, log)  # after the end the mount lets a read wait for the rest


def _pass_on(where: InMount, log: int) -> None:
    """All that is there now."""
    while True:
        with translated(where, "log"):
            piece = os.read(log, PIECE)
        if not piece:
            return
        view = memoryview(piece)
        while view:
            view = view[os.write(STDOUT, view) :]


class _End:
    """Of an execution: told by `wait`, once it was started."""

    def __init__(self, where: InMount) -> None:
        self._where = where
        self._poller = select.poll()
        self._wait: int | None = None

    def comes(self, seconds: float) -> bool:
        """Wait so long at most. Raises NoExecution, ServiceFailure."""
        if self._wait is None:
            try:
                self._wait = open_file(self._where, "wait")
                self._poller.register(self._wait, select.POLLIN)
            except NotStarted:  # it is gone, or may be started yet
                if status(self._where) is None:
                    raise NoExecution from None
        if not self._poller.poll(seconds * 1000):
            return False
        assert self._wait is not None  # noqa: S101  # nothing else is polled
        with translated(self._where, "wait"):
            os.read(self._wait, 4096)
        return True
