"""Outputs brought to their files: all of them or none, and through outages that pass."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import trio

from pifopfs.api import FunctionClient, Head, Incoming, OutputStream
from pifopfs.errors import BadAnswer, ConnectionBroken, FileUnusable
from pifopfs.run.sources import Transfer
from pifopfs.run.targets import Replacement, commit_all, is_stream
from pifopfs.run.together import together
from pifopfs.run.wishes import Wish
from pifopfs.run.writing import write_all
from pifopfs.tree.execution import TRANSIENT
from pifopfs.tree.settings import Settings
from pifopfs.wire import ExecutionId

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two tries of a download."""

T = TypeVar("T")
Write = Callable[[bytes], Awaitable[None]]


class Bringing:
    """The outputs of one execution that has ended. `plan` first; `close` in any case."""

    def __init__(
        self, client: FunctionClient, execution: ExecutionId, settings: Settings, out: Write
    ) -> None:
        """`out` takes the output that goes to standard output."""
        self._client = client
        self._execution = execution
        self._patience = settings.wait_outage
        self._out = out
        self._files: list[tuple[Wish, Transfer, Replacement]] = []
        self._streams: list[tuple[Wish, Transfer]] = []

    def plan(self, wishes: Sequence[Wish], sizes: Mapping[str, int | None]) -> list[Transfer]:
        """Prepare the files; what will come to them. `sizes`: as far as the service tells them.

        Raises OptionInvalid, FileUnusable.
        """
        for wish in wishes:
            transfer = Transfer(wish.name, sizes.get(wish.name))
            if is_stream(wish):
                self._streams.append((wish, transfer))
            else:
                self._files.append((wish, transfer, Replacement(wish)))
        return [transfer for _, transfer, _ in self._files]

    def close(self) -> None:
        """Files that did not come are as they were."""
        for _, _, replacement in self._files:
            replacement.close()

    # ── Files ────────────────────────────────────────────────────────────────────────────────

    async def files(self) -> list[dict[str, Any]]:
        """Bring all that go to files; what came.

        Raises ServiceError, FileUnusable.
        """
        await together(*(partial(self._save, *each[1:]) for each in self._files))
        commit_all(replacement for _, _, replacement in self._files)
        return [_brought(wish, file.size) for wish, _, file in self._files]

    async def _save(self, transfer: Transfer, replacement: Replacement) -> None:
        await self._persist(partial(self._try, transfer, replacement))
        transfer.size = replacement.size
        await trio.to_thread.run_sync(replacement.settle)

    async def _try(self, transfer: Transfer, replacement: Replacement) -> None:
        """Raises ServiceError, also where it is not as long as the execution tells."""
        told = transfer.size

        def began(head: Head) -> None:
            transfer.size = head.length if told is None else told

        replacement.empty()
        transfer.progress.begin(0)
        incoming = Incoming(replacement.file, began, lambda: None, transfer.progress)
        try:
            await self._client.save(self._execution, transfer.name, incoming, expected=told)
            _check(transfer, replacement.size)
        except OSError as error:
            raise replacement.failed(error) from error
        except BaseException:
            transfer.size = told  # that of another try may be another one
            raise

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Again and again, while the service is away for less than it may be."""
        pause, failing = FIRST_PAUSE, None
        while True:
            try:
                return await attempt()
            except TRANSIENT as error:
                failing = failing or trio.current_time()
                over = trio.current_time() + pause > failing + self._patience
                if over or isinstance(error, BadAnswer):
                    raise
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    # ── Streams ──────────────────────────────────────────────────────────────────────────────

    async def streams(self) -> list[dict[str, Any]]:
        """Bring those that are written as they come, one after another; what came.

        Raises ServiceError, FileUnusable; BrokenPipeError where nobody reads.
        """
        brought = []
        for wish, transfer in self._streams:
            async with self._opened(wish) as write:
                size = await self._pass_on(transfer, write)
            brought.append(_brought(wish, size))
        return brought

    @asynccontextmanager
    async def _opened(self, wish: Wish) -> AsyncIterator[Write]:
        if wish.path is None:
            yield self._out
            return
        try:
            file = await trio.to_thread.run_sync(
                partial(os.open, wish.path, os.O_WRONLY | os.O_CLOEXEC), abandon_on_cancel=True
            )  # waits for who reads a pipe
        except OSError as error:
            raise FileUnusable(f"-o {wish.name}={wish.shown}: {error.strerror}") from error
        try:
            yield partial(write_all, file)
        finally:
            os.close(file)

    async def _pass_on(self, transfer: Transfer, write: Write) -> int:
        """Only the beginning can be tried again: what has gone out has gone out."""
        async with AsyncExitStack() as stack:

            async def begin() -> OutputStream:
                output = self._client.output(self._execution, transfer.name)
                return await stack.enter_async_context(output)

            count = 0
            async for piece in await self._persist(begin):
                count += len(piece)
                await write(piece)
        _check(transfer, count)
        return count


def _check(transfer: Transfer, size: int) -> None:
    """Raises ConnectionBroken."""
    if transfer.size not in (None, size):
        told = f"{transfer.size} bytes were announced, {size} came"
        raise ConnectionBroken(f"output {transfer.name}", told)


def _brought(wish: Wish, size: int) -> dict[str, Any]:
    return {"id": wish.name, "file": wish.shown, "size": size}
