"""A program gains no rights, and does not reach what the kernel keeps outside of namespaces."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import httpx
import pytest

from pifopfs.server.sandbox.seccomp import MACHINES
from tests.contract.conftest import Site, eventually
from tests.sandbox.conftest import Try, started
from tests.sandbox.outside import KEY

pytestmark = pytest.mark.each_engine


async def test_no_rights_are_gained(attempts: Try) -> None:
    become_root = [["su", "-c", "id -u"], ["sudo", "-n", "id", "-u"], ["pkexec", "id", "-u"]]
    become_root = [words for words in become_root if shutil.which(words[0], path="/usr/bin:/bin")]
    seen = await attempts("privileges.py", {"become root": become_root})
    assert seen.escaped == []
    assert len(seen.attempts) == 24 + len(become_root)


async def test_a_file_with_the_setuid_bit_gives_no_rights(site: Site, attempts: Try) -> None:
    """Neither the system's own, nor one with that bit that its function brings along."""
    su = shutil.which("su", path="/usr/bin:/bin")
    if su is None or not Path(su).stat().st_mode & 0o4000:
        pytest.skip("there is no su with the setuid bit")
    seen = await attempts("privileges.py", {"become root": [[su, "-c", "id -u"]]})
    assert seen.attempts[f"{su} -c id -u"] != "ESCAPED"


async def test_the_kernels_keys_shared_memory_and_new_interfaces_are_out_of_reach(
    session_key: None, shared_memory: int, attempts: Try
) -> None:
    numbers = MACHINES[platform.machine()].numbers
    seen = await attempts("kernel.py", {"numbers": numbers, "key": KEY, "shm": shared_memory})
    assert seen.escaped == []
    assert seen.attempts == {
        **dict.fromkeys(("key", "keyring", "request_key", "add_key"), "EPERM"),
        "key in /proc": seen.attempts["key in /proc"],
        **dict.fromkeys(("io_uring", "clone3"), "ENOSYS"),
        **dict.fromkeys(("bpf", "userfaultfd", "type into a terminal"), "EPERM"),
        "shared memory": "EINVAL",
    }


@pytest.mark.skipif(os.getuid() != 0, reason="the server is not root")
async def test_the_programs_of_a_server_that_root_runs_are_not_roots(
    site: Site, http: httpx.AsyncClient
) -> None:
    """Seen from outside: inside, a sandbox can give a program any number."""
    site.function("sleeper", "touch made; sleep 600")
    execution = await started(http, "sleeper")

    async def made() -> bool:
        return any(site.state.rglob("work/made"))

    await eventually(made)
    (file,) = site.state.rglob("work/made")
    assert file.stat().st_uid != 0
    sleeping = [
        path.parent.stat().st_uid
        for path in Path("/proc").glob("[0-9]*/environ")
        if b"HOME=/job" in environment(path)
    ]
    assert sleeping
    assert 0 not in sleeping
    assert (await http.delete(execution)).status_code == 200


def environment(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""
