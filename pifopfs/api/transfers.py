"""The part of the client that moves bodies: inputs up, outputs down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from pifopfs import errors, wire
from pifopfs.api.answers import Call
from pifopfs.api.bodies import Content, Growing, OpenFile, Upload
from pifopfs.api.bulk.process import BulkProcess
from pifopfs.api.clientbase import ClientBase
from pifopfs.api.downloads import OutputStream
from pifopfs.api.incoming import Head, Incoming, Span
from pifopfs.api.pool import LARGE
from pifopfs.api.requests import Request, segment
from pifopfs.api.retries import Remembering
from pifopfs.api.transport import CONNECTIONS
from pifopfs.wire import ExecutionId

TRANSFERS = CONNECTIONS // 2
"""Bodies on their way at once; others wait, so that small calls always get a connection."""
HEAD_UNSUPPORTED = {400, 405, 501}


class Transfers(ClientBase):
    """Inputs and outputs of executions."""

    def __init__(self, function: str, **service: Any) -> None:
        """As ClientBase."""
        super().__init__(function, **service)
        self._transfers = trio.CapacityLimiter(TRANSFERS)
        self._bulk: BulkProcess | None = None

    @asynccontextmanager
    async def moved_by(self, bulk: BulkProcess) -> AsyncIterator[None]:
        """Let another process move large bodies meanwhile."""
        deadlines = replace(self._deadlines, recheck=None)  # here it is known whether it is down
        make = partial(type(self), self.name, deadlines=deadlines, **self._service)
        async with bulk.serving(make):
            self._bulk = bulk
            yield
            self._bulk = None

    def _bulk_for(self, size: int | None) -> BulkProcess | None:
        """The process to move so many bytes, where it is worth it and there is one."""
        large = size is None or size >= LARGE
        return self._bulk if large and self._bulk is not None and self._bulk.usable else None

    async def upload(
        self, execution: ExecutionId, input_id: str, content: Content
    ) -> wire.InputInfo:
        """Give an input its bytes; a file or stream is not held in memory.

        Bytes and files are sent again after a failure that passes, an asynchronous iterable is
        not. Raises InputUnknown, InputsClosed, TooLarge; OSError, before anything is sent, for a
        Path that cannot be opened or is no regular file that knows its length (a pipe, /proc/…).
        """
        subject = f"of input {input_id} to {execution}"
        part = segment(input_id, errors.InputUnknown, f"{Call.UPLOAD} {subject}")
        upload = Upload(content)
        request = Request(
            Call.UPLOAD, "POST", self._of(execution, f"/input/{part}"), subject, upload=upload
        )
        async with self._transfers:
            if isinstance(content, OpenFile | Growing) and (bulk := self._bulk_for(upload.size)):
                with self._exchange.made_elsewhere(request):
                    return await bulk.send(execution, input_id, content)
            return await self._upload(request, execution, upload)

    async def _upload(
        self, request: Request, execution: ExecutionId, upload: Upload
    ) -> wire.InputInfo:
        policy = Remembering(self._repeating) if upload.repeatable else None
        try:
            return await self._exchange.document(
                request, wire.InputInfo.from_json, within=None, policy=policy
            )
        except errors.ServiceError as error:
            failure = await self._explained(request, execution, error)
            failure.after_unclear = policy is not None and policy.unclear
            raise failure from None

    async def output_size(self, execution: ExecutionId, output_id: str) -> int | None:
        """The length of an output in bytes, None where the service does not tell.

        Raises OutputUnknown, NotEnded.
        """
        return (await self.output_head(execution, output_id)).length

    async def output_head(self, execution: ExecutionId, output_id: str) -> Head:
        """What the service tells of an output in advance. Raises OutputUnknown, NotEnded."""
        request = self._output_request(Call.SIZE, "HEAD", execution, output_id)
        try:
            headers = await self._exchange.headers(
                request, within=self._deadlines.total, policy=self._reading
            )
        except errors.Refused as error:
            if error.code in HEAD_UNSUPPORTED:
                return Head(None)
            raise await self._explained(request, execution, error) from None
        return Head.of(headers)

    @asynccontextmanager
    async def output(
        self, execution: ExecutionId, output_id: str, span: Span | None = None
    ) -> AsyncIterator[OutputStream]:
        """The bytes of an output, or of a part of it, as a stream.

        Raises OutputUnknown, NotEnded; BadAnswer where the part is not to be had.
        """
        request = self._output_request(Call.OUTPUT, "GET", execution, output_id, span)
        async with self._transfers, self._stream(request, execution, span) as stream:
            yield stream

    @asynccontextmanager
    async def _stream(
        self, request: Request, execution: ExecutionId, span: Span | None
    ) -> AsyncIterator[OutputStream]:
        answer = self._exchange.begun(request, within=self._deadlines.total, policy=self._reading)
        async with AsyncExitStack() as stack:
            try:
                begun = await stack.enter_async_context(answer)
            except errors.Refused as error:
                raise await self._explained(request, execution, error) from None
            code, due = begun.response.status_code, 200 if span is None else 206
            if code != due:
                raise errors.BadAnswer(request.tried, f"{code} where {due} is due")
            stream = OutputStream(request.tried, begun.response, span)
            try:
                yield stream
            finally:
                begun.unparsed = stream.unparsed

    async def save(
        self,
        execution: ExecutionId,
        output_id: str,
        incoming: Incoming,
        *,
        expected: int | None = None,
        span: Span | None = None,
    ) -> None:
        """Write an output, or a part of it, to a file.

        `expected` is its length, where that is known: no more than a piece comes behind that.
        Raises as `output`, what `incoming.began` raises, and OSError for the file.
        """
        request = self._output_request(Call.OUTPUT, "GET", execution, output_id, span)
        async with self._transfers:
            if bulk := self._bulk_for(expected):
                with self._exchange.made_elsewhere(request):
                    await bulk.save(execution, output_id, incoming, expected, span)
                return
            async with self._stream(request, execution, span) as stream:
                incoming.began(stream.head)
                await stream.save(incoming, expected)

    def _output_request(
        self,
        call: Call,
        method: str,
        execution: ExecutionId,
        output_id: str,
        span: Span | None = None,
    ) -> Request:
        subject = f"{output_id} of {execution}"
        part = segment(output_id, errors.OutputUnknown, f"{call} {subject}")
        path = self._of(execution, f"/output/{part}")
        return Request(call, method, path, subject, headers=span.headers() if span else {})
