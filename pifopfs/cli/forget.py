"""forget."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pifopfs import errors
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.mount import asking
from pifopfs.mount.mountpoint import real_mountpoint
from pifopfs.paths import mountpoint_path


@click.command("forget", epilog=EXIT_CODE_HELP)
@click.argument("execution", type=click.Path(path_type=Path), metavar="MOUNTPOINT/executions/NAME")
def command(execution: Path) -> None:
    """Drop an execution's name from its mount without terminating it; prints its id."""
    path = mountpoint_path(execution)
    if path.parent.name != "executions":
        raise errors.OptionInvalid(f"{execution} is not of the form MOUNTPOINT/executions/NAME")
    click.echo(os.fsencode(asking.forget(real_mountpoint(path.parent.parent), path.name)))
