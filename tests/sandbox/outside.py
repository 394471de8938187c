"""What is on this machine outside of any sandbox, open to all users: what payloads reach for."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pifopfs.server.sandbox.seccomp import MACHINES

KEY = "pifopfs-test-key"
SESSION_KEYRING, JOIN_SESSION_KEYRING = -3, 1
IPC_PRIVATE, IPC_RMID = 0, 0

libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of this machine can enter and write, with a file to read."""
    folder = Path(tempfile.mkdtemp(prefix="pf-open-", dir="/tmp"))
    folder.chmod(0o777)
    (folder / "secret").write_text("secret")
    (folder / "secret").chmod(0o666)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def outsider() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the machine's."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait(10)


@dataclass
class Listeners:
    """What listens on this machine, for all its users."""

    port: int
    abstract: str
    path: Path

    def targets(self, *more: Path) -> dict[str, object]:
        paths = [str(path) for path in (self.path, *more)]
        return {"port": self.port, "abstract": self.abstract, "paths": paths}


@pytest.fixture
def listeners(root: Path) -> Iterator[Listeners]:
    name = f"pifopfs-test-{os.getpid()}"
    path = root / "open.sock"
    with ExitStack() as cleanup:

        def listening(family: int, address: object) -> socket.socket:
            end = cleanup.enter_context(socket.socket(family, socket.SOCK_STREAM))
            end.bind(address)
            end.listen()
            return end

        tcp = listening(socket.AF_INET, ("127.0.0.1", 0))
        listening(socket.AF_UNIX, f"\0{name}")
        listening(socket.AF_UNIX, str(path))
        path.chmod(0o777)
        yield Listeners(tcp.getsockname()[1], name, path)


@pytest.fixture
def session_key() -> None:
    """A key in the session keyring of the process that serves."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        pytest.skip("there is no filter for this machine")
    keyctl, add_key = machine.numbers["keyctl"], machine.numbers["add_key"]
    joined = libc.syscall(keyctl, JOIN_SESSION_KEYRING, None)  # it ends with this process
    added = libc.syscall(add_key, b"user", KEY.encode(), b"secret", 6, SESSION_KEYRING)
    if joined < 0 or added < 0:
        pytest.skip("this kernel keeps no keys here")


@pytest.fixture
def shared_memory() -> Iterator[int]:
    """A segment of System V's shared memory that every user of this machine can read."""
    number = libc.shmget(IPC_PRIVATE, ctypes.c_size_t(4096), 0o1666)
    assert number >= 0
    yield number
    libc.shmctl(number, IPC_RMID, None)
