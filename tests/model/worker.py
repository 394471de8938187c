"""A process that makes system calls in a mount, one for each line of JSON on its input.

The parent's half is `Worker`: it answers a value or raises what the call raised, and fails the
test where an answer does not come in time. Bytes travel as Latin-1 text.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

DEADLINE = 30.0
"""Seconds for one call; the deadlines of the mount are far below."""


# ── In the child ──────────────────────────────────────────────────────────────────────────────


def _pread(file: int, size: int, offset: int) -> str:
    return os.pread(file, size, offset).decode("latin-1")


def _read(file: int, size: int) -> str:
    return os.read(file, size).decode("latin-1")


def _pwrite(file: int, data: str, offset: int) -> int:
    return os.pwrite(file, data.encode("latin-1"), offset)


def _write(file: int, data: str) -> int:
    return os.write(file, data.encode("latin-1"))


def _content(path: str) -> str:
    """The whole of a file, as `cat` reads it."""
    file = os.open(path, os.O_RDONLY)
    try:
        pieces = iter(lambda: os.read(file, 1 << 16), b"")
        return b"".join(pieces).decode("latin-1")
    finally:
        os.close(file)


def _act(path: str, way: str) -> None:
    """Act on a control file: by a write, a truncating open, or a touch."""
    if way == "touch":
        os.utime(path)
        return
    file = os.open(path, os.O_WRONLY | (os.O_TRUNC if way == "truncate" else 0))
    try:
        os.write(file, b"1\n")
        os.write(file, b"2\n")
    finally:
        os.close(file)


def _look(path: str) -> dict[str, Any]:
    """All that can be seen of an execution without changing it."""
    inputs = {}
    for name in os.listdir(f"{path}/input"):  # noqa: PTH208
        status = os.stat(f"{path}/input/{name}")  # noqa: PTH116
        content = _content(f"{path}/input/{name}")
        inputs[name] = [content, status.st_size, oct(status.st_mode & 0o777)]
    values = {name: _content(f"{path}/{name}") for name in ("status", "end_reason", "error")}
    names = os.listdir(f"{path}/output")  # noqa: PTH208
    outputs = {name: _content(f"{path}/output/{name}") for name in names}
    return {"input": inputs, "output": outputs, **values}


CALLS: dict[str, Callable[..., Any]] = {
    "mkdir": os.mkdir,
    "rmdir": os.rmdir,
    "rename": os.rename,
    "unlink": os.unlink,
    "truncate": os.truncate,
    "chmod": os.chmod,
    "list": lambda path: sorted(os.listdir(path)),  # noqa: PTH208
    "open": os.open,
    "dup": os.dup,
    "close": os.close,
    "ftruncate": os.ftruncate,
    "seek": lambda file, offset: os.lseek(file, offset, os.SEEK_SET),
    "size": lambda file: os.fstat(file).st_size,
    "pread": _pread,
    "read": _read,
    "pwrite": _pwrite,
    "write": _write,
    "content": _content,
    "act": _act,
    "look": _look,
}


def main() -> None:
    """Answer calls until the input ends."""
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = {"value": CALLS[name](*arguments)}
        except OSError as error:
            answer = {"errno": error.errno}
        print(json.dumps(answer), flush=True)  # noqa: T201


# ── In the parent ─────────────────────────────────────────────────────────────────────────────


class Worker:
    """One such process. It is killed, not asked to end: what it has open closes with it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
        )
        self._rest = b""

    def call(self, name: str, *arguments: object) -> Any:
        """The value of a call. Raises OSError as the call did."""
        line = json.dumps([name, *arguments]) + "\n"
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        answer = json.loads(self._line(line))
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        return answer["value"]

    def _line(self, call: str) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        while b"\n" not in self._rest:
            assert poller.poll(DEADLINE * 1000), f"no answer within {DEADLINE:g} s: {call[:300]}"
            piece = os.read(descriptor, 1 << 20)
            assert piece, f"the worker died: {call[:300]}"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def kill(self) -> None:
        """kill -9, and wait for its death."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(DEADLINE)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


if __name__ == "__main__":
    main()
