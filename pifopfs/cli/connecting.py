"""The options by which a command finds a service, a client of it, and a question put to it.

What the options do not say comes from the environment and the configuration files, as for a mount.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from pifopfs.cli.options import FILE

if TYPE_CHECKING:  # who has the options need not become a client
    from pifopfs.api import FunctionClient

T = TypeVar("T")


def connected(function: Callable[..., None]) -> Callable[..., None]:
    """Add these options to a command: where the service is, and which key it is shown."""
    key = click.option("--api-key-file", type=FILE, help="A file that holds the key.")
    return located(key(function))


def located(function: Callable[..., None]) -> Callable[..., None]:
    """Add these options to a command: where the service is."""
    for option in (
        click.option("--ca-file", type=FILE, help="Certificates to trust instead of the system's."),
        click.option("--allow-plain-http", is_flag=True, help="Allow http:// to loopback."),
        click.option("--endpoint", metavar="URL", help="The service: https://… or unix:/…."),
    ):
        function = option(function)
    return function


def client(
    function: str,
    *,
    endpoint: str | None,
    allow_plain_http: bool,
    api_key_file: Path | None,
    ca_file: Path | None,
) -> FunctionClient:
    """A client of the service of `author/id`. Raises SetupError."""
    from pifopfs import config as configuration

    return configuration.client(
        function,
        os.environ,
        endpoint=endpoint,
        allow_plain_http=allow_plain_http,
        api_key_file=api_key_file,
        ca_file=ca_file,
    )


def asked(
    function: str,
    question: Callable[[FunctionClient], Awaitable[T]],
    *,
    endpoint: str | None,
    allow_plain_http: bool,
    api_key_file: Path | None,
    ca_file: Path | None,
) -> T:
    """Put a question to the service of `author/id`. Raises SetupError, ServiceError."""
    found = client(
        function,
        endpoint=endpoint,
        allow_plain_http=allow_plain_http,
        api_key_file=api_key_file,
        ca_file=ca_file,
    )
    return answered(found, question)


def answered(client: FunctionClient, question: Callable[[FunctionClient], Awaitable[T]]) -> T:
    """Put a question to a service. Raises ServiceError."""
    import trio

    async def ask() -> T:
        async with client:
            return await question(client)

    return trio.run(ask)
