"""config: what is set, by what, and in which files that can be done."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from pifopfs import config as configuration
from pifopfs.cli.candidates import functions
from pifopfs.cli.mount import command as mount
from pifopfs.cli.named_options import with_named
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.config import files, shown
from pifopfs.config.options import OPTIONS, Scope
from pifopfs.paths import find_folder


@click.group("config", epilog=EXIT_CODE_HELP)
def command() -> None:
    """The configuration: what is set, and where."""


@command.command("show", epilog=EXIT_CODE_HELP)
@click.argument("function", required=False, shell_complete=functions)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show_command(function: str | None, *, as_json: bool, **flags: Any) -> None:
    """Show each setting with its value and where that comes from; of the API key only where it is.

    The settings are those that a mount of FUNCTION would have with the same options; without
    FUNCTION those of any that has no section of its own in a file.
    """
    flags = with_named(click.get_current_context(), flags)
    values = configuration.look_up(function, os.environ, **flags)
    endpoint = configuration.find_endpoint(values)
    scope, place = Scope.ALL, None
    if function is not None:
        scope = shown.concerns(find_folder(function) is not None)
    if scope is not Scope.FOLDER:
        place = configuration.find_key(function, endpoint, values, os.environ)
    if as_json:
        click.echo(json.dumps(shown.document(values, place, scope), indent=2))
    else:
        click.echo(os.fsencode(shown.lines(values, place, scope)), nl=False)


show_command.params += [option for option in mount.params if option.name in OPTIONS]


@command.command("path", epilog=EXIT_CODE_HELP)
@click.option("--system", is_flag=True, help="Of the file for all users.")
def path_command(*, system: bool) -> None:
    """Print the path of your configuration file, whether it is there or not."""
    path: Path = files.system_file(os.environ) if system else files.user_file()
    click.echo(os.fsencode(path))
