"""Every guard that can be had here, on real runs."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from memory_harness import LIMIT, MEBIBYTE, outcome, python, started

from pifopfs.machine import start_time
from pifopfs.server.memory import MemoryGuard, polling
from pifopfs.server.memory.cgroup1 import Cgroup1
from pifopfs.server.memory.cgroup1 import prepared as prepared1
from pifopfs.server.memory.cgroup2 import Cgroup2
from pifopfs.server.memory.cgroup2 import prepared as prepared2
from pifopfs.server.memory.control_groups import Unavailable
from pifopfs.server.memory.group_guard import GroupGuard
from pifopfs.server.memory.proof import prove
from tests.fakeservice import until

SIZE = 600 * MEBIBYTE


OWNER = f"test-{os.getpid()}"


@functools.cache
def group_guard(kind: str) -> GroupGuard | str:
    """Or why this kind can't be had here."""
    try:
        guard: GroupGuard = (
            Cgroup2(prepared2(), OWNER) if kind == "v2" else Cgroup1(prepared1(), OWNER)
        )
        trio.run(prove, guard)
    except (Unavailable, OSError) as error:
        return f"no cgroup {kind} here: {error}"
    return guard


@pytest.fixture(params=["v2", "v1"])
def groups(request: pytest.FixtureRequest) -> GroupGuard:
    found = group_guard(request.param)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(params=["v2", "v1", "polling"])
def guard(request: pytest.FixtureRequest) -> MemoryGuard:
    if request.param == "polling":
        return polling.prepared()
    found = group_guard(request.param)
    if isinstance(found, str):
        pytest.skip(found)
    return found


# ── What exceeds the limit ────────────────────────────────────────────────────────────────────

FILL = "for i in range(150): kept[i << 20 : (i + 1) << 20] = b'x' * (1 << 20)"
GROW = "kept = []\nfor _ in range(600): kept.append(b'x' * (1 << 20))\ntime.sleep(20)"


async def test_a_program_that_grows_is_killed(guard: MemoryGuard) -> None:
    assert await outcome(guard, *python(GROW)) == (-signal.SIGKILL, True)


C = """
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main() {
    for (int i = 0; i < 600; i++) {
        char *piece = (char *)ALLOCATE;
        if (!piece) return 3;
        memset(piece, i + 1, 1 << 20);
    }
    sleep(20);
}
"""


@pytest.mark.parametrize(
    ("compiler", "allocate"),
    [("gcc", "malloc(1 << 20)"), ("g++", "new char[1 << 20]")],
    ids=["malloc", "new"],
)
async def test_a_compiled_program_that_grows_is_killed(
    guard: MemoryGuard, tmp_path: Path, compiler: str, allocate: str
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    source = tmp_path / ("grow.c" if compiler == "gcc" else "grow.cpp")
    source.write_text(C.replace("ALLOCATE", allocate))
    await trio.run_process([compiler, "-O0", "-o", str(tmp_path / "grow"), str(source)])
    assert await outcome(guard, str(tmp_path / "grow")) == (-signal.SIGKILL, True)


async def test_a_parent_that_survives_what_grew_is_killed_too(guard: MemoryGuard) -> None:
    tree = python(
        "if os.fork(): os.wait(); time.sleep(60)",
        "if os.fork(): os.wait(); time.sleep(60)",
        GROW,
    )
    assert await outcome(guard, *tree) == (-signal.SIGKILL, True)


async def test_many_processes_that_are_small_each_are_killed_together(guard: MemoryGuard) -> None:
    many = python(
        "for _ in range(6):",
        "    if not os.fork(): kept = b'x' * (60 << 20); time.sleep(60)",
        "time.sleep(60)",
    )
    assert await outcome(guard, *many) == (-signal.SIGKILL, True)


async def test_a_parent_that_hides_the_end_of_its_child_does_not_hide_the_cause(
    groups: GroupGuard,
) -> None:
    """cgroup v1 leaves the parent alive, which ends as if all were well."""
    code, exceeded = await outcome(groups, *python("if os.fork(): os.wait(); os._exit(0)", GROW))
    assert exceeded
    assert code in (0, -signal.SIGKILL)


async def test_shared_memory_is_counted(guard: MemoryGuard) -> None:
    shared = python(
        "kept = mmap.mmap(-1, 600 << 20)",
        "for i in range(600): kept[i << 20 : (i + 1) << 20] = b'x' * (1 << 20)",
        "time.sleep(20)",
    )
    assert await outcome(guard, *shared) == (-signal.SIGKILL, True)


def with_tmpfs(folder: Path, *command: str) -> list[str]:
    """Run where a folder is a filesystem in memory."""
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    script = f'mount -t tmpfs -o size={SIZE} tmpfs {folder} && cd {folder} && exec "$@"'
    return [*unshare, "sh", "-c", script, "sh", *command]


async def test_files_in_memory_are_counted(guard: MemoryGuard, tmp_path: Path) -> None:
    command = with_tmpfs(
        tmp_path,
        *python(
            "with open('file', 'wb', buffering=0) as file:",
            "    for _ in range(500): file.write(b'x' * (1 << 20))",
            "time.sleep(20)",
        ),
    )
    result = await outcome(guard, *command, in_memory=tmp_path, size=SIZE)
    assert result == (-signal.SIGKILL, True)


async def test_shared_memory_is_not_taken_for_mapped_files(
    guard: MemoryGuard, tmp_path: Path
) -> None:
    """Files and shared memory are below the limit each."""
    command = with_tmpfs(
        tmp_path,
        *python(
            "kept = mmap.mmap(-1, 150 << 20)",
            FILL,
            "with open('file', 'wb', buffering=0) as file:",
            "    for _ in range(150): file.write(b'x' * (1 << 20))",
            "time.sleep(20)",
        ),
    )
    result = await outcome(guard, *command, in_memory=tmp_path, size=SIZE)
    assert result == (-signal.SIGKILL, True)


# ── What does not ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("kill -SEGV $$", -signal.SIGSEGV),
        ("kill -KILL $$", -signal.SIGKILL),
        ("exit 137", 137),
        ("exit 0", 0),
    ],
)
async def test_another_end_is_not_taken_for_it(guard: MemoryGuard, script: str, code: int) -> None:
    assert await outcome(guard, "/bin/sh", "-c", script) == (code, False)


async def test_a_memory_error_of_the_programs_own_is_not_taken_for_it(guard: MemoryGuard) -> None:
    assert await outcome(guard, *python("raise MemoryError")) == (1, False)


READ = "bytes(kept[i] for i in range(0, 150 << 20, 4096)); time.sleep(1); os._exit(0)"


async def test_what_processes_share_is_counted_once(guard: MemoryGuard) -> None:
    shared = python(
        "kept = mmap.mmap(-1, 150 << 20)",
        FILL,
        "for _ in range(4):",
        f"    if not os.fork(): {READ}",
        "for _ in range(4): os.wait()",
    )
    assert await outcome(guard, *shared) == (0, False)


async def test_files_in_memory_that_are_mapped_are_counted_once(
    guard: MemoryGuard, tmp_path: Path
) -> None:
    command = with_tmpfs(
        tmp_path,
        *python(
            "file = open('file', 'w+b')",
            "file.truncate(150 << 20)",
            "kept = mmap.mmap(file.fileno(), 150 << 20)",
            FILL,
            f"if not os.fork(): {READ}",
            "os.wait()",
        ),
    )
    assert await outcome(guard, *command, in_memory=tmp_path, size=SIZE) == (0, False)


async def test_a_file_on_disk_is_not_counted(guard: MemoryGuard, tmp_path: Path) -> None:
    if filesystem_of(tmp_path) == "tmpfs":
        pytest.skip("the tests' folder is in memory")
    write = ["dd", "if=/dev/zero", f"of={tmp_path}/file", "bs=1M", "count=400", "status=none"]
    assert await outcome(guard, *write) == (0, False)
    (tmp_path / "file").unlink()


def filesystem_of(path: Path) -> str:
    found = subprocess.run(
        ["stat", "-f", "-c", "%T", path], check=True, capture_output=True, text=True
    )
    return found.stdout.strip()


# ── How a group is set up, and given up ───────────────────────────────────────────────────────


def group_of(groups: GroupGuard, name: str, limit: int = LIMIT) -> Path:
    return groups.confine(name, limit).join[0].parent


async def test_what_a_run_has_left_behind_is_killed(groups: GroupGuard) -> None:
    """It has left its session, so that nothing else finds it."""
    confinement = groups.confine(secrets.token_hex(8), LIMIT)
    async with started(
        confinement, "/bin/sh", "-c", "setsid sleep 600 & sleep 0.1; exit 0"
    ) as process:
        await process.wait()
    left = [int(line) for line in confinement.join[0].read_text().split()]
    assert len(left) == 1
    await confinement.close()
    until(lambda: start_time(left[0]) is None)
    assert not confinement.join[0].exists()


async def test_a_kill_reaches_groups_that_the_run_has_made(groups: GroupGuard) -> None:
    confinement = groups.confine(secrets.token_hex(8), LIMIT)
    inner = confinement.join[0].parent / "inner"
    inner.mkdir()
    script = f"echo 0 > {inner}/cgroup.procs; setsid sleep 600 & wait"
    async with started(confinement, "/bin/sh", "-c", script) as process:
        await trio.to_thread.run_sync(
            until, lambda: len((inner / "cgroup.procs").read_text().split()) == 2
        )
        left = [int(line) for line in (inner / "cgroup.procs").read_text().split()]
        confinement.kill()
        with trio.fail_after(10):
            assert await process.wait() == -signal.SIGKILL
    until(lambda: all(start_time(pid) is None for pid in left))
    await confinement.close()
    assert not confinement.join[0].exists()


def test_a_group_that_cannot_be_set_up_does_not_stay(groups: GroupGuard) -> None:
    name = secrets.token_hex(8)
    with pytest.raises(OSError, match="Invalid argument"):
        groups.confine(name, -5)
    group = group_of(groups, name)  # so the name is free
    group.rmdir()


async def test_leftovers_are_cleared_up_and_other_servers_groups_are_not(
    groups: GroupGuard,
) -> None:
    base = group_of(groups, "base")
    other = type(groups)(base.parent, "another-server")
    theirs = group_of(other, "theirs")
    confinement = groups.confine("left", LIMIT)
    async with started(confinement, "sleep", "600") as process:
        until(lambda: str(process.pid) in confinement.join[0].read_text().split())
        successor = type(groups)(base.parent, OWNER)
        await trio.to_thread.run_sync(successor.clear_up)
        with trio.fail_after(10):
            assert await process.wait() == -signal.SIGKILL
    assert not base.exists()
    assert not confinement.join[0].exists()
    assert theirs.exists()
    theirs.rmdir()


def test_every_run_has_its_own_limit(groups: GroupGuard) -> None:
    group = group_of(groups, secrets.token_hex(8), 7 * MEBIBYTE)
    limits = {
        file: (group / file).read_text().strip()
        for file in ("memory.max", "memory.swap.max", "memory.oom.group")
        if (group / file).exists()
    } or {"memory.max": (group / "memory.limit_in_bytes").read_text().strip()}
    group.rmdir()
    assert limits.pop("memory.max") == str(7 * MEBIBYTE)
    assert limits in ({}, {"memory.swap.max": "0", "memory.oom.group": "1"})


# ── Polling alone ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(os.geteuid() == 0, reason="root sees all")
async def test_a_process_that_hides_its_shares_is_counted_whole() -> None:
    hidden = python(
        "import ctypes",
        "assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0",
        GROW,
    )
    assert await outcome(polling.prepared(), *hidden) == (-signal.SIGKILL, True)


@pytest.fixture
def ended() -> Iterator[list[int]]:
    """A process that is gone, and the zombie of one."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    zombie = subprocess.Popen(["true"])
    until(lambda: start_time(zombie.pid) is None)
    yield [gone.pid, zombie.pid]
    zombie.wait()


async def test_a_process_that_has_ended_uses_nothing(ended: list[int]) -> None:
    class Ended:
        looks = 0

        def members(self) -> list[int]:
            self.looks += 1
            return ended

        def in_memory_files(self) -> int:
            return 0

    run = Ended()
    confinement = polling.prepared().confine("ended", 0)
    with trio.move_on_after(0.5):
        await confinement.until_exceeded(run)
    assert not confinement.exceeded()
    assert 3 < run.looks < 30
