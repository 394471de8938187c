"""Outputs as answers: whole, or the part that is asked for."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncGenerator
from http import HTTPStatus
from pathlib import PurePosixPath

import trio
from starlette.requests import Request
from starlette.responses import Response

from pifopfs.server import answers
from pifopfs.server.bodies import PIECE, Body
from pifopfs.server.ranges import Part, Unsatisfiable, entity_tag, wanted
from pifopfs.wire import FileSpec

NOT_AT_HAND = {errno.EAGAIN, errno.EOPNOTSUPP}
"""Not in memory, or of a filesystem that does not tell."""

CONTENT_TYPES = {
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
}
"""Without a charset, one client reads text as Latin-1."""


def answer(request: Request, spec: FileSpec, file: int) -> Response:
    """For a request of an output; `file` is its descriptor, which is closed in any case."""
    status = os.fstat(file)
    tag, size = entity_tag(status), status.st_size
    asks = request.method == "GET"  # in a HEAD a range has no meaning
    range_ = request.headers.get("Range") if asks else None
    try:
        part = wanted(range_, request.headers.get("If-Range"), tag, size)
    except Unsatisfiable:
        os.close(file)
        message = f"nothing of the output is in this range: it has {size} bytes"
        headers = {"Accept-Ranges": "bytes", "ETag": tag, "Content-Range": f"bytes */{size}"}
        return answers.failure(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, message, headers)
    return OutputBody(spec, file, tag, part or Part(0, size, size), whole=part is None)


class OutputBody(Body):
    """The bytes of an output, or of a part of it."""

    def __init__(self, spec: FileSpec, file: int, tag: str, part: Part, *, whole: bool) -> None:
        suffix = PurePosixPath(spec.path or spec.id).suffix.lower()
        kind = CONTENT_TYPES.get(suffix, "application/octet-stream")
        super().__init__(kind, part.size, HTTPStatus.OK if whole else HTTPStatus.PARTIAL_CONTENT)
        self.headers.update({"Accept-Ranges": "bytes", "ETag": tag})
        if not whole:
            self.headers["Content-Range"] = part.content_range
        self._file = file
        self._start = part.start

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        at, end = self._start, self._start + self._size  # it may grow meanwhile
        buffer = memoryview(bytearray(min(PIECE, self._size)))
        while size := await self._read(buffer[: end - at], at):
            at += size
            yield bytes(buffer[:size])

    async def _read(self, buffer: memoryview, at: int) -> int:
        """Fill it; a thread is only needed where the kernel has to wait for the disk."""
        try:
            return os.preadv(self._file, [buffer], at, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno not in NOT_AT_HAND:
                raise
        return await trio.to_thread.run_sync(os.preadv, self._file, [buffer], at)

    def close(self) -> None:
        os.close(self._file)
