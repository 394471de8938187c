"""One of several users who call a function again and again, until the mount dies under them.

Run in the mount: `python workload.py JOURNAL PREFIX SEED`. Before and after each call a line goes
to the journal, so that a test can say afterwards what had been promised.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

OUTPUT_SIZE = 3 * 2**20
INPUTS = ("coords", "model")

MOUNT_DIED = {errno.ENOTCONN, errno.ECONNABORTED}


def content(key: str, size: int) -> bytes:
    """Bytes that follow from `key`."""
    return random.Random(key).randbytes(size)


def input_content(name: str, what: str) -> bytes:
    """What is written to an input of the execution `name`."""
    size = random.Random(name + what).choice([10, 4096, 300_000, 2_000_000])
    return content(f"{name} {what}", size)


def output_content(inputs: dict[str, bytes]) -> bytes:
    """What the function makes of its inputs."""
    digest = hashlib.sha256()
    for name in sorted(inputs):
        digest.update(name.encode() + inputs[name])
    return content(digest.hexdigest(), OUTPUT_SIZE)


class User:
    """Makes executions, and tells the journal."""

    def __init__(self, journal: Path, prefix: str, seed: str) -> None:
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._prefix = prefix
        self._random = random.Random(f"{seed} {prefix}")

    def say(self, event: str, name: str, what: str = "") -> None:
        os.write(self._journal, json.dumps([event, name, what]).encode() + b"\n")

    def run(self) -> None:
        for number in count():
            try:
                self._life(f"{self._prefix}-{number}")
            except OSError as error:
                if error.errno in MOUNT_DIED:
                    return
                raise

    def _life(self, name: str) -> None:
        job = Path("executions", name)
        self.say("mkdir", name)
        job.mkdir()
        self.say("made", name)
        for what in INPUTS:
            self._random.choice(WRITERS)(self, job / "input" / what, name, what)
            (job / "id").read_text()  # answered after the release of the input
            self.say("settled", name, what)
            time.sleep(self._random.uniform(0, 0.1))
        self.say("start", name)
        (job / "start").write_text("1\n")
        self.say("started", name)
        reason = (job / "wait").read_text()
        assert reason == "normal\n", reason
        expected = output_content({what: input_content(name, what) for what in INPUTS})
        for _ in range(self._random.randrange(3)):
            assert (job / "output/r").read_bytes() == expected, f"output of {name}"
        if self._random.random() < 0.5:
            self.say("rmdir", name)
            job.rmdir()
            self.say("removed", name)

    # ── Ways to write an input ───────────────────────────────────────────────────────────────

    def in_pieces(self, path: Path, name: str, what: str) -> None:
        self.say("open", name, what)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.say("opened", name, what)
        try:
            data = input_content(name, what)
            middle = len(data) // 2
            for piece in (data[:middle], data[middle:]):
                time.sleep(self._random.uniform(0, 0.1))
                os.write(file, piece)
            time.sleep(self._random.uniform(0, 0.1))
            self.say("closing", name, what)
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        self.say("closed", name, what)

    def with_cp(self, path: Path, name: str, what: str) -> None:
        source = Path(f"/proc/self/fd/{self._memory(input_content(name, what))}")
        self.say("open", name, what)
        result = subprocess.run(
            ["cp", source, path], close_fds=False, capture_output=True, text=True, check=False
        )
        if result.returncode:
            path.stat()  # raises where the mount is dead
            raise AssertionError(result.stderr)
        self.say("closed", name, what)

    def _memory(self, data: bytes) -> int:
        file = os.memfd_create("input", 0)
        os.write(file, data)
        os.dup2(file, 9)
        os.close(file)
        return 9

    def by_rename(self, path: Path, name: str, what: str) -> None:
        self.say("open", name, what)
        temporary = path.with_name(f"{what}.tmp")
        with temporary.open("wb") as file:
            file.write(input_content(name, what))
        temporary.rename(path)
        self.say("closed", name, what)


WRITERS: list[Callable[[User, Path, str, str], None]] = [
    User.in_pieces,
    User.in_pieces,
    User.with_cp,
    User.by_rename,
]

if __name__ == "__main__":
    User(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).run()
