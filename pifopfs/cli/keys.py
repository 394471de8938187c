"""keys: the master keys of local servers, and API keys at any endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pifopfs import errors
from pifopfs.api import FunctionClient
from pifopfs.cli.connecting import asked, connected
from pifopfs.cli.options import FOLDER, MEGABYTES, MINUTES, NUMBER
from pifopfs.cli.reporting import EXIT_CODE_HELP
from pifopfs.paths import absolute
from pifopfs.server.keys import master_key
from pifopfs.server.site import state_folders


@click.group("keys", epilog=EXIT_CODE_HELP)
def command() -> None:
    """The keys of a function: who may call it, and how much."""


@command.command("master", epilog=EXIT_CODE_HELP)
@click.argument("function", metavar="AUTHOR/ID")
@click.option("--state-dir", type=FOLDER, help="The server's; needed where several have it.")
def master_command(function: str, state_dir: Path | None) -> None:
    """Print the master key of a function of a server on this machine."""
    author, id_ = _names(function)
    folders = sorted(state_folders().glob("*"))
    if state_dir is not None:
        folders = [absolute(state_dir)]
    try:
        found = {folder: master_key(folder, author, id_) for folder in folders}
    except OSError as error:
        raise errors.SetupError(f"{error.filename}: {error.strerror}") from error
    keys = {folder: key for folder, key in found.items() if key is not None}
    if not keys:
        raise errors.FunctionArgumentInvalid(
            f"no server here has a master key of {function}: it makes one when it serves the "
            "function; start it (pifopfs serve), or name its --state-dir"
        )
    if len(keys) > 1:
        several = ", ".join(map(str, keys))
        raise errors.OptionInvalid(f"several servers have {function}: name --state-dir: {several}")
    click.echo(next(iter(keys.values())))


@command.command("create", epilog=EXIT_CODE_HELP)
@click.argument("function", metavar="AUTHOR/ID")
@click.argument("name")
@click.option("--max-memory", type=MEGABYTES, metavar="MB", help="Of each run (no limit).")
@click.option("--max-time", type=MINUTES, metavar="MINUTES", help="Of each run (no limit).")
@click.option("--max-executions", type=NUMBER, help="How many may run at once (no limit).")
@connected
def create_command(
    function: str,
    name: str,
    max_memory: float | None,
    max_time: float | None,
    max_executions: int | None,
    **service: Any,
) -> None:
    """Make an API key, and print it: it is told only now.

    The master key is found as the key of a mount is: by --api-key-file, PIFOPFS_API_KEY_FILE or
    PIFOPFS_API_KEY, or in one of the other places of docs/CONFIGURATION.md.
    """

    async def create(client: FunctionClient) -> str | None:
        made = await client.create_api_key(
            name, max_memory=max_memory, max_time=max_time, max_executions=max_executions
        )
        return made.key

    _names(function)
    key = asked(function, create, **service)
    if key is None:
        raise errors.BadAnswer(f"create the API key {name}", "the answer tells no key")
    click.echo(key)


@command.command("delete", epilog=EXIT_CODE_HELP)
@click.argument("function", metavar="AUTHOR/ID")
@click.argument("name")
@connected
def delete_command(function: str, name: str, **service: Any) -> None:
    """Delete an API key. What runs with it runs on."""
    _names(function)
    asked(function, lambda client: client.delete_api_key(name), **service)


def _names(function: str) -> tuple[str, str]:
    author, slash, id_ = function.partition("/")
    if not (author and slash and id_) or "/" in id_:
        raise errors.FunctionArgumentInvalid(f"{function!r} is not of the form AUTHOR/ID")
    return author, id_
