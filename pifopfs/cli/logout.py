"""logout."""

from __future__ import annotations

from typing import Any

import click

from pifopfs.cli.candidates import functions
from pifopfs.cli.connecting import located
from pifopfs.cli.login import place_of_service
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.config import stored
from pifopfs.errors import CredentialsInvalid


@click.command("logout", epilog=EXIT_CODE_HELP)
@click.argument("function", metavar="AUTHOR/ID", shell_complete=functions)
@located
def command(function: str, **service: Any) -> None:
    """Remove the API key that login has stored. Mounts that are there keep it until their end."""
    endpoint = place_of_service(function, service)
    login = stored.forget(function, endpoint)
    if login is None:
        raise CredentialsInvalid(
            f"no key of {function} at {endpoint} is stored; there is nothing to remove"
        )
    click.echo(f"The key of {function} at {endpoint} is removed from {login}.")
