"""wait and logs for executions that need not be in a mount: asked of the service."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import trio

from pifopfs import config as configuration
from pifopfs.api import FunctionClient
from pifopfs.cli.ends import die_by
from pifopfs.cli.naming import AtService
from pifopfs.cli.outcomes import Outcome
from pifopfs.cli.running import NOWHERE
from pifopfs.config import Config
from pifopfs.errors import ExecutionUnknown, PifopfsError
from pifopfs.run.ends import End
from pifopfs.run.following import LogReader, Watched
from pifopfs.run.together import together
from pifopfs.run.writing import write_all
from pifopfs.service import reached
from pifopfs.wire import ExecutionId, Status

STDOUT = 1
Flags = Mapping[str, object]


def wait_at_service(
    executions: AtService, timeout: float | None, flags: Flags, tell: Callable[[Outcome], None]
) -> list[Outcome]:
    """Wait for all of them, so many seconds at most; `tell` hears of each at its end.

    Raises SetupError, ServiceError.
    """
    outcomes: dict[ExecutionId, Outcome] = {}

    async def wait(client: FunctionClient, config: Config) -> None:
        async def one(id_: ExecutionId) -> None:
            outcomes[id_] = await _ended(client, config, id_, timeout)
            tell(outcomes[id_])

        await together(*(partial(one, id_) for id_ in dict.fromkeys(executions.ids)))

    _with_service(executions.function, flags, wait)
    return [outcomes[id_] for id_ in executions.ids]


async def _ended(
    client: FunctionClient, config: Config, id_: ExecutionId, timeout: float | None
) -> Outcome:
    watched: Watched | None = None
    try:
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            watched = Watched(client, await client.execution(id_), config.settings)
            if watched.seen.status is Status.PENDING:
                return Outcome(id_, End.NOT_STARTED, watched.seen)
            await watched.until_ended()
    except ExecutionUnknown:
        return Outcome(id_, End.GONE)
    return Outcome(id_, End.TIME_OVER) if watched is None else Outcome.of(id_, watched.seen)


def print_log(function: str, id_: ExecutionId, flags: Flags, *, follow: bool) -> None:
    """The log to standard output. Raises SetupError, ServiceError, OSError."""

    async def show(client: FunctionClient, config: Config) -> None:
        watched = Watched(client, await client.execution(id_), config.settings)
        log = LogReader(watched, partial(write_all, STDOUT))
        await log.rest()
        if follow:
            await together(watched.until_ended, log.follow)
            await log.rest()

    try:
        _with_service(function, flags, show)
    except BrokenPipeError:  # who read it has seen enough
        die_by(signal.SIGPIPE)


def _with_service(
    function: str, flags: Flags, work: Callable[[FunctionClient, Config], Awaitable[None]]
) -> None:
    config = configuration.load(function, NOWHERE, os.environ, **flags)  # type: ignore[arg-type]

    async def run() -> None:
        failure: PifopfsError | OSError | None = None
        async with reached(config) as (client, _):
            try:
                await work(client, config)
            except (PifopfsError, OSError) as error:  # what holds a server would wrap it
                failure = error
        if failure is not None:
            raise failure

    trio.run(run)
