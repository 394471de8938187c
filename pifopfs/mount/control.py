"""Requests to a live mount that are no file operations: today, to forget a name.

A line of JSON each way over a Unix socket that only the user can reach.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from functools import partial
from pathlib import Path

import trio

from pifopfs.errors import MountpointInvalid, PifopfsError
from pifopfs.mount.mountpoint import real_mountpoint
from pifopfs.mount.records import control_socket
from pifopfs.tree.executions import Executions

log = logging.getLogger(__name__)

ANSWER_TIMEOUT = 10.0
LONGEST_LINE = 64 * 1024


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

    async def answer(stream: trio.SocketStream) -> None:
        try:
            with trio.move_on_after(ANSWER_TIMEOUT):
                line = await stream.receive_some(LONGEST_LINE)
                await stream.send_all(json.dumps(_answer(executions, line)).encode() + b"\n")
        except trio.BrokenResourceError:
            log.info("a client of the control socket has gone")

    try:
        async with trio.open_nursery() as nursery:
            serving = partial(trio.serve_listeners, answer, [trio.SocketListener(listener)])
            await nursery.start(serving)
            task_status.started()
    finally:
        path.unlink(missing_ok=True)


def _answer(executions: Executions, line: bytes) -> dict[str, str]:
    try:
        name = json.loads(line)["forget"]
        return {"id": executions.forget(name)}
    except PifopfsError as error:
        return {"error": str(error)}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {"error": "the request is not understood"}
    except Exception:
        log.exception("bug in a request to the control socket")
        return {"error": "the mount failed; see its log"}


def forget(mountpoint: Path, name: str) -> str:
    """Have a live mount drop a name; the id that goes on at the service. Raises SetupError."""
    mountpoint = real_mountpoint(mountpoint)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_TIMEOUT)
        try:
            connection.connect(os.fspath(control_socket(mountpoint)))
            connection.sendall(json.dumps({"forget": name}).encode() + b"\n")
            answer = json.loads(connection.makefile().readline())
        except (OSError, ValueError) as error:
            raise MountpointInvalid(
                f"{mountpoint} is not a live mount of yours: {error}; mount the function first"
            ) from error
    if "error" in answer:
        raise MountpointInvalid(f"{answer['error']}; see ls {mountpoint}/executions")
    return str(answer["id"])
