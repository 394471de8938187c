"""The payloads themselves: without a sandbox they reach what they reach for.

Else that they are blocked would show nothing. Only what changes nothing is tried here.
"""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

from pifopfs.server.sandbox.seccomp import MACHINES
from tests.contract.conftest import Site
from tests.sandbox.conftest import Try
from tests.sandbox.outside import KEY, Listeners


@pytest.fixture
def isolation() -> str:
    return "none"


async def test_files_are_read_listed_and_opened(
    site: Site, attempts: Try, open_folder: Path
) -> None:
    secret = str(open_folder / "secret")
    ways = [secret, f"/proc/self/root{secret}"]
    seen = await attempts(
        "files.py",
        {"read": ways, "write": [secret], "make": [str(open_folder)], "list": [str(site.state)]},
    )
    assert set(seen.attempts.values()) == {"ESCAPED"}


async def test_listeners_are_reached(site: Site, attempts: Try, listeners: Listeners) -> None:
    seen = await attempts("network.py", listeners.targets(site.socket))
    reached = {"tcp 127.0.0.1", "abstract", f"unix {listeners.path}", f"unix {site.socket}"}
    assert reached <= set(seen.escaped)


async def test_a_process_is_seen_and_signalled(
    attempts: Try, outsider: subprocess.Popen[bytes]
) -> None:
    seen = await attempts("processes.py", {"pid": outsider.pid})
    expected = {"look", "signal", "signal its group", "pidfd", "proc environ", "ptrace seize"}
    assert expected <= set(seen.escaped)
    assert os.getpid() in seen.facts["pids"]


async def test_keys_and_shared_memory_are_reached(
    session_key: None, shared_memory: int, attempts: Try
) -> None:
    numbers = MACHINES[platform.machine()].numbers
    seen = await attempts("kernel.py", {"numbers": numbers, "key": KEY, "shm": shared_memory})
    assert {"key", "key in /proc", "shared memory"} <= set(seen.escaped)


async def test_paths_of_the_machine_are_seen(site: Site, attempts: Try) -> None:
    facts = (await attempts("surroundings.py")).facts
    assert str(site.root) in facts["cwd"]
    assert len(facts["commands"]) > 5
