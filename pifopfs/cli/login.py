"""login: a key is asked for, checked and stored."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from pifopfs import config as configuration
from pifopfs.api import ApiKey, Endpoint
from pifopfs.api.credentials import LONGEST
from pifopfs.cli.candidates import functions
from pifopfs.cli.connecting import answered, located
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.config import keyring, stored
from pifopfs.config.values import Source
from pifopfs.errors import CredentialsInvalid, FunctionArgumentInvalid
from pifopfs.paths import find_folder


@click.command("login", epilog=EXIT_CODE_HELP)
@click.argument("function", metavar="AUTHOR/ID", shell_complete=functions)
@located
@click.option("--file", "in_file", is_flag=True, help="Store it in a file, not in the keyring.")
def command(function: str, *, in_file: bool, **service: Any) -> None:
    """Store your API key of a function, so that mounts and other commands use it.

    The key is asked for without echo, or read from standard input where that is no terminal. It
    is stored once the service has accepted it: in the desktop's keyring where there is one,
    otherwise in a file that only you can read.
    """
    endpoint = place_of_service(function, service)
    key = _given_key(function, endpoint)
    client = configuration.client(function, os.environ, api_key=key, **service)
    answered(client, lambda client: client.function())
    in_keyring = not in_file and keyring.is_usable()
    login = stored.store(function, endpoint, key, in_keyring=in_keyring)
    click.echo(f"The key of {function} at {endpoint} is stored in {login}.")
    _tell_what_goes_before(function, endpoint, service)


def place_of_service(function: str, service: dict[str, Any]) -> Endpoint:
    """Where a key would be for. Raises SetupError."""
    if find_folder(function) is not None:
        raise FunctionArgumentInvalid(f"{function} is run on this machine, which needs no key")
    return configuration.find_endpoint(configuration.look_up(function, os.environ, **service))


def _given_key(function: str, endpoint: Endpoint) -> ApiKey:
    if sys.stdin.isatty():
        title = f"API key of {function} at {endpoint} (not shown)"
        return ApiKey(click.prompt(title, hide_input=True, err=True).strip())
    text = sys.stdin.buffer.read(LONGEST + 2)
    try:
        return ApiKey(text.decode("ascii").strip(), "standard input")
    except UnicodeDecodeError:
        raise CredentialsInvalid("standard input holds characters that no API key has") from None


def _tell_what_goes_before(function: str, endpoint: Endpoint, service: dict[str, Any]) -> None:
    values = configuration.look_up(function, os.environ, **service)
    place = configuration.find_key(function, endpoint, values, os.environ)
    if place is not None and place.origin.source is not Source.LOGIN:
        click.echo(f"pifopfs: but {place.origin} goes before it: {place.where}", err=True)
