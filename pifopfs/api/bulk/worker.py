"""The process that moves large bodies: requests are made as ever, by a client of its own."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from pifopfs.api.bodies import Growing, OpenFile
from pifopfs.api.bulk.channel import Channel
from pifopfs.api.bulk.messages import Arrived, Began, Cancel, Configure, Ended, Grown, Save, Send
from pifopfs.api.incoming import Head, Incoming
from pifopfs.api.progress import SharedProgress
from pifopfs.observing import ids

Job = Callable[[], Awaitable[object]]


async def work(end: socket.socket, progress: SharedProgress) -> None:
    """Do what is told, until the other end is gone."""
    outbox, messages = trio.open_memory_channel[object](math.inf)
    channel = Channel(end)
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        worker = Worker(progress, outbox, nursery, stack)
        nursery.start_soon(_post, channel, messages)
        while (received := await channel.receive()) is not None:
            await worker.hear(*received)
        nursery.cancel_scope.cancel()


async def _post(channel: Channel, messages: AsyncIterator[object]) -> None:
    async for message in messages:
        await channel.send(message)


class Worker:
    """The transfers under way."""

    def __init__(
        self,
        progress: SharedProgress,
        outbox: trio.MemorySendChannel[object],
        nursery: trio.Nursery,
        stack: AsyncExitStack,
    ) -> None:
        self._progress = progress
        self._outbox = outbox
        self._nursery = nursery
        self._stack = stack
        self._scopes: dict[int, trio.CancelScope] = {}
        self._growing: dict[int, Growing] = {}
        self._client: Any = None

    async def hear(self, message: object, file: int | None) -> None:
        """Take a message."""
        match message:
            case Configure(make_client):
                self._client = await self._stack.enter_async_context(make_client())
            case Save() if file is not None:
                self._begin(message, file, partial(self._save, message, file))
            case Send() if file is not None:
                self._begin(message, file, partial(self._send, message, file))
            case Grown(number, whole) if number in self._growing:
                content = self._growing[number]
                content.whole = whole
                content.wake()
            case Cancel(number) if number in self._scopes:
                self._scopes[number].cancel()

    def _begin(self, order: Save | Send, file: int, job: Job) -> None:
        self._scopes[order.number] = trio.CancelScope()
        self._nursery.start_soon(self._run, order, file, job)

    async def _run(self, order: Save | Send, file: int, job: Job) -> None:
        number = order.number
        ended = Ended(number)
        ids.current.set(order.request)
        try:
            with self._scopes[number]:
                ended = Ended(number, await job())
        except Exception as error:  # noqa: BLE001  # it is raised again where it was asked for
            ended = Ended(number, error=error.with_traceback(None))
        finally:
            os.close(file)
            del self._scopes[number]
            self._growing.pop(number, None)
        tally = self._client.recorder.tally(order.request)
        self._outbox.send_nowait(replace(ended, tally=tally))

    async def _save(self, order: Save, file: int) -> None:
        number = order.number

        def began(head: Head) -> None:
            self._outbox.send_nowait(Began(number, head))

        def arrived() -> None:
            self._outbox.send_nowait(Arrived(number))

        incoming = Incoming(file, began, arrived, self._progress.at(order.place))
        await self._client.save(
            order.execution, order.output, incoming, expected=order.expected, span=order.span
        )

    async def _send(self, order: Send, file: int) -> object:
        content: OpenFile | Growing = OpenFile(file)
        if order.growing:
            content = Growing(file, self._progress.at(order.place))
            content.whole = order.whole
            self._growing[order.number] = content
        return await self._client.upload(order.execution, order.input, content)
