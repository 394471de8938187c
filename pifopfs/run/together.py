"""Several things at once, of which the first failure is the failure of all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from pifopfs.errors import PifopfsError


async def together(*tasks: Callable[[], Awaitable[None]]) -> None:
    """Return when all have. The first that fails ends the others; its error is raised as it is."""
    failures: list[PifopfsError | OSError] = []
    async with trio.open_nursery() as nursery:

        async def one(task: Callable[[], Awaitable[None]]) -> None:
            try:
                await task()
            except (PifopfsError, OSError) as error:  # the nursery would wrap it
                failures.append(error)
                nursery.cancel_scope.cancel()

        for task in tasks:
            nursery.start_soon(one, task)
    if failures:
        raise failures[0]
