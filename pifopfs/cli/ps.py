"""ps."""

from __future__ import annotations

import signal
import sys
import time

import click

from pifopfs import errors
from pifopfs.cli.candidates import mountpoints
from pifopfs.cli.ends import die_by, let_signals_end
from pifopfs.cli.pages import Page, page_of_executions, page_of_mounts
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.cli.tables import lines
from pifopfs.cli.texts import json_line

INTERVAL = 1.0
"""Seconds between two looks with --watch."""


@click.command("ps", epilog=EXIT_CODE_HELP)
@click.argument(
    "mount", required=False, metavar="[MOUNTPOINT|FUNCTION]", shell_complete=mountpoints
)
@click.option("--watch", is_flag=True, help="Show it anew each second, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch, a line each time.")
def command(mount: str | None, *, watch: bool, as_json: bool) -> None:
    """List your mounts; or, of one mount, the executions that it knows.

    A mount is named by its mountpoint, by a path in it, or by a function that is mounted once.
    What is shown is what the daemon knows: looking makes no request to the service.
    """
    let_signals_end()
    if watch and not as_json and not sys.stdout.isatty():
        raise errors.OptionInvalid("--watch is for terminals; for programs there is --json --watch")

    def look(most: int | None) -> Page:
        return page_of_mounts() if mount is None else page_of_executions(mount, most)

    if watch and not as_json:
        from pifopfs.cli.live import show_live

        show_live(look, INTERVAL)
        return
    _print(look(None), as_json=as_json)
    while watch:
        time.sleep(INTERVAL)
        _print(look(None), as_json=as_json)


def _print(page: Page, *, as_json: bool) -> None:
    text = json_line(page.documents) if as_json else "\n".join(lines(page.titles, page.rows))
    try:
        click.echo(text.encode())  # names are UTF-8, whatever the terminal is said to be
    except BrokenPipeError:  # who reads it has seen enough
        die_by(signal.SIGPIPE)
