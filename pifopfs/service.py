"""A function's service, reached as a configuration says: over the network, or a folder's server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from pifopfs.api import FunctionClient
from pifopfs.config import Config, Limits
from pifopfs.server.embedded.guest import Lease, join_or_start
from pifopfs.server.embedded.manner import Manner


@asynccontextmanager
async def reached(config: Config) -> AsyncIterator[tuple[FunctionClient, str]]:
    """A client of the service, and the function's name; a folder's server is held meanwhile.

    Raises SetupError.
    """
    make = partial(FunctionClient, deadlines=config.deadlines)
    if config.folder is not None:
        manner = Manner(config.isolation, config.engine, config.engine_options)
        async with (
            _held_server(config.folder, config.limits, manner) as lease,
            make(lease.function, endpoint=lease.endpoint) as client,
        ):
            yield client, lease.function
    else:
        assert config.function is not None  # noqa: S101  # it is one or the other
        async with make(
            config.function,
            endpoint=config.endpoint,
            api_key=config.api_key,
            ca_file=config.ca_file,
        ) as client:
            yield client, config.function


@asynccontextmanager
async def _held_server(folder: Path, limits: Limits, manner: Manner) -> AsyncIterator[Lease]:
    """The server of a folder, which is started again should it die."""
    lease = await join_or_start(
        folder,
        linger=limits.server_linger,
        deadline=limits.server_start,
        manner=manner,
    )
    async with lease, trio.open_nursery() as nursery:
        nursery.start_soon(lease.keep)
        yield lease
        nursery.cancel_scope.cancel()
