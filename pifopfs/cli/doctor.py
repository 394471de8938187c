"""doctor: the command line. What it takes is loaded when that is read."""

from __future__ import annotations

from typing import Any

import click

from pifopfs.cli.candidates import functions
from pifopfs.cli.connecting import connected
from pifopfs.cli.loading import loading
from pifopfs.cli.options import FOLDER

PROBLEM = 9
"""The exit code where something does not work; none of those of other commands."""
EXIT_CODE_HELP = f"""\b
Exit codes:
  0  all is well, or there are warnings only
  {PROBLEM}  there is a problem
Others mean that nothing was examined: see pifopfs --help.
"""


@click.command("doctor", epilog=EXIT_CODE_HELP)
@click.argument(
    "subject", required=False, metavar="[FUNCTION | MOUNTPOINT]", shell_complete=functions
)
@connected
@click.option("--state-dir", type=FOLDER, help="As of the mount.")
@click.option("--cache-dir", type=FOLDER, help="As of the mount.")
@click.option(
    "--check",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this one, by its name in --json; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(subject: str | None, *, names: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Look for what keeps mounts from working, and say how to mend it.

    Without FUNCTION or MOUNTPOINT only this machine is examined; with one, its service or its
    folder, too. Nothing is changed, and the key is never shown.
    """
    with loading(client=True):
        from pifopfs.cli.examining import report
    report(subject, names, flags, as_json=as_json, code=PROBLEM)
