"""How an execution ended, as an exit code: of `run` and `wait`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import NoReturn

import click

from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.run.ends import End

END_CODES: dict[End, int] = {
    End.DONE: 0,
    End.FAILED: 10,
    End.OUT_OF_MEMORY: 11,
    End.TIMEOUT: 12,
    End.STOPPED: 13,
    End.SYSTEM_ERROR: 14,
    End.OTHER: 15,
    End.GONE: 16,
    End.OUTPUT_MISSING: 17,
    End.TIME_OVER: 18,
    End.NOT_STARTED: 19,
}
"""None is one of `reporting.EXIT_CODES`, or above 123, where shells and xargs have theirs."""

END_CODE_HELP = (
    EXIT_CODE_HELP
    + """\
How the execution ended:
  10  the function failed: the service tells an exit code other than 0
  11  out of memory
  12  it took more time than the service allows
  13  it was stopped
  14  a failure of the service's machine cut it off
  15  a reason that this version does not know
  16  it is no more: terminated meanwhile, expired, or unknown
  17  run: it is done, but an output that was asked for is not there
  18  it had not ended when the time of --timeout was over
  19  wait: nobody has started it
  129, 130, 141, 143  SIGHUP, Ctrl-C, nobody reads the output, SIGTERM
"""
)


def tell(line: str | bytes) -> None:
    """Print a line; where nobody reads any more, end as any program does that is told so."""
    try:
        click.echo(line)
    except BrokenPipeError:
        die_by(signal.SIGPIPE)


def die_by(number: signal.Signals) -> NoReturn:
    """End as the signal would have ended us: a shell shows 128 and its number, and ends, too."""
    signal.signal(number, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os.kill(os.getpid(), number)
    sys.exit(128 + number)  # it was blocked


def let_signals_end() -> None:
    """From here on Ctrl-C ends the process without a word: there is nothing to put in order."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
