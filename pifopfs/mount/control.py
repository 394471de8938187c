"""Requests to a live mount that are no file operations: to forget a name, and what it knows.

Over a Unix socket that only the user can reach, a line of JSON asks and lines of JSON answer:

    {"forget": NAME}        {"id": ID}
    {"list": {"most": N}}   {"version": 1, "counts": {STATE: NUMBER, …}}
                            a line for each execution, N at most (null: all); see `tree.listing`
                            {"over": true}

An answer with `error` says why not. Who asks passes over fields that it does not know; a daemon
that answers a list without a `version` is older than lists. `asking` is the other side.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import trio

from pifopfs.errors import PifopfsError
from pifopfs.mount.records import control_socket
from pifopfs.tree.executions import Executions
from pifopfs.tree.job import Job
from pifopfs.tree.listing import Listing, describe

log = logging.getLogger(__name__)

ANSWER_TIMEOUT = 10.0
"""Seconds for a request, and for each part of the answer."""
LONGEST_LINE = 64 * 1024
VERSION = 1
TOGETHER = 20
"""Executions that are told in one go; others get their turn then."""

Document = dict[str, Any]


async def serve_control(
    mountpoint: Path,
    executions: Executions,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests until cancelled."""
    path = control_socket(mountpoint)
    path.unlink(missing_ok=True)
    listener = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await listener.bind(os.fspath(path))
    listener.listen()
    try:
        async with trio.open_nursery() as nursery:
            serving = partial(
                trio.serve_listeners,
                partial(_answer, executions),
                [trio.SocketListener(listener)],
            )
            await nursery.start(serving)
            task_status.started()
    finally:
        path.unlink(missing_ok=True)


async def _answer(executions: Executions, stream: trio.SocketStream) -> None:
    try:
        with trio.move_on_after(ANSWER_TIMEOUT) as patience:
            async with aclosing(_documents(executions, await _line(stream))) as answer:
                async for documents in answer:
                    patience.deadline = trio.current_time() + ANSWER_TIMEOUT
                    lines = [json.dumps(document).encode() + b"\n" for document in documents]
                    await stream.send_all(b"".join(lines))
    except trio.BrokenResourceError:
        log.info("a client of the control socket has gone")


async def _line(stream: trio.SocketStream) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < LONGEST_LINE:
        piece = await stream.receive_some(LONGEST_LINE - len(line))
        if not piece:
            break
        line += piece
    return line


async def _documents(executions: Executions, line: bytes) -> AsyncGenerator[list[Document], None]:
    """The answer, some lines at a time."""
    try:
        request = json.loads(line)
        if "list" in request:
            async with aclosing(_listed(executions, _most(request["list"]))) as listed:
                async for documents in listed:
                    yield documents
        else:
            yield [{"id": executions.forget(request["forget"])}]
    except PifopfsError as error:
        yield [{"error": str(error)}]
    except (ValueError, TypeError, KeyError, RecursionError):
        yield [{"error": "the request is not understood"}]
    except Exception:
        log.exception("bug in a request to the control socket")
        yield [{"error": "the mount failed; see its log"}]


def _most(options: dict[str, Any]) -> int | None:
    """Raises ValueError, KeyError, TypeError."""
    most = options["most"]
    if most is not None and (not isinstance(most, int) or most < 0):
        raise ValueError(most)
    return most


async def _listed(executions: Executions, most: int | None) -> AsyncGenerator[list[Document], None]:
    """There may be many: file operations get their turn meanwhile."""
    listing = Listing()
    for jobs in _batched(executions):
        for job in jobs:
            listing.add(job)
        await trio.lowlevel.checkpoint()
    yield [{"version": VERSION, "counts": listing.counts}]
    for jobs in _batched(listing.first(most)):
        yield [describe(job) for job in jobs if not job.execution.dead]
    yield [{"over": True}]


def _batched(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Some at a time."""
    rest = iter(jobs)
    while some := list(islice(rest, TOGETHER)):
        yield some
