"""The options by which a command finds a service, and a question put to it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import trio

from pifopfs import config as configuration
from pifopfs.api import FunctionClient
from pifopfs.cli.options import FILE

T = TypeVar("T")


def connected(function: Callable[..., None]) -> Callable[..., None]:
    """Add these options to a command."""
    for option in (
        click.option("--ca-file", type=FILE, help="Certificates to trust instead of the system's."),
        click.option("--api-key-file", type=FILE, help="A file that holds the key."),
        click.option("--allow-plain-http", is_flag=True, help="Allow http:// to loopback."),
        click.option("--endpoint", metavar="URL", help="The service: https://… or unix:/…."),
    ):
        function = option(function)
    return function


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
    client = configuration.client(
        function,
        os.environ,
        endpoint=endpoint,
        allow_plain_http=allow_plain_http,
        api_key_file=api_key_file,
        ca_file=ca_file,
    )

    async def ask() -> T:
        async with client:
            return await question(client)

    return trio.run(ask)
