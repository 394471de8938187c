"""Programs and what is left of them when their server has died."""

from __future__ import annotations

import contextlib
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from pifopfs.machine import ISOLATIONS, look, processes, start_time
from pifopfs.server.engines.local import LocalEngine, LocalJob
from pifopfs.server.engines.opening import open_engine
from pifopfs.server.memory.polling import Polling
from pifopfs.server.processes import Trace, kill_session
from pifopfs.server.sandbox.launch import Launch
from pifopfs.server.sandbox.settings import SandboxSettings
from pifopfs.server.workspace import give
from tests.fakeservice import until
from tests.soak import amount


def ignore(_: bytes) -> None:
    """What a program prints."""


@dataclass(frozen=True)
class Place:
    """An engine, and a folder for a run of its."""

    engine: LocalEngine
    folder: Path
    owner: str = ""

    @property
    def work(self) -> Path:
        return self.folder / "work"

    async def launch(self, *command: str, **more: object) -> LocalJob:
        launch = Launch("a test", command, self.folder, **more)  # type: ignore[arg-type]
        return await self.engine.launch(launch)

    async def run(self, *command: str, **more: object) -> tuple[int, str]:
        """The exit code of a program, and what it prints."""
        with trio.fail_after(20):
            said: list[bytes] = []
            job = await self.launch(*command, **more)
            await job.release()
            return (await job.wait(said.append)).code, b"".join(said).decode()


@pytest.fixture(params=ISOLATIONS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return await make_place(tmp_path, request.param)


async def make_place(folder: Path, kind: str) -> Place:
    owner = marker()
    engine = await open_engine(kind, Polling(), owner=owner, stop_grace=1)
    place = Place(engine, folder, owner)
    place.work.mkdir()
    (folder / "tmp").mkdir()
    give(engine.user, place.work)
    return place


def put(place: Place, name: str, content: str, mode: int = 0o700) -> None:
    """A file of the run's own."""
    (place.work / name).write_text(content)
    (place.work / name).chmod(mode)
    give(place.engine.user, place.work / name)


def alive(marker: str) -> list[int]:
    """The processes that have a word in their command line."""
    found = []
    for process in processes():
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            if marker.encode() in line and not process.dead:
                found.append(process.pid)
    return found


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def marker() -> str:
    """A number of seconds to sleep for, which no other process has."""
    return f"9{secrets.randbelow(10**8):08}"


async def test_a_program_waits_to_be_released_and_reads_nothing(place: Place) -> None:
    said: list[bytes] = []
    job = await place.launch("sh", "-c", "cat; echo $#,$1", "x", "a b")
    assert look(Trace.parse(job.trace).pid) is not None
    assert said == []
    await job.release()
    with trio.fail_after(10):
        assert (await job.wait(said.append)).code == 0
    assert b"".join(said) == b"1,a b\n"


async def test_a_program_that_is_killed_before_it_was_released_has_never_run(place: Place) -> None:
    job = await place.launch("touch", "ran")
    with trio.fail_after(10):
        await job.kill()
    assert not (place.work / "ran").exists()


@pytest.mark.parametrize("program", ["/no/such", "no-such-program", "./no", "./unexecutable", "."])
async def test_a_program_that_is_not_there_is_not_launched(place: Place, program: str) -> None:
    put(place, "unexecutable", "", 0o600)
    descriptors = open_files()
    with pytest.raises(FileNotFoundError, match=re.escape(program)):
        await place.launch(program)
    assert open_files() == descriptors


async def test_a_program_in_the_runs_own_folder(place: Place) -> None:
    put(place, "run", "#!/bin/sh\nexit 5\n")
    assert await place.run("./run") == (5, "")


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143)])
async def test_the_exit_code(place: Place, script: str, code: int) -> None:
    assert (await place.run("bash", "-c", script))[0] == code


async def test_what_a_program_leaves_in_the_background_ends_with_it(place: Place) -> None:
    mark = marker()
    assert (await place.run("sh", "-c", f"sleep {mark} & sleep {mark} & echo up"))[1] == "up\n"
    assert alive(mark) == []


async def test_a_program_is_asked_to_end_and_its_exit_code_is_told(place: Place) -> None:
    script = "trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.01; done"
    said: list[bytes] = []
    job = await place.launch("sh", "-c", script)
    await job.release()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                while not said:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                await job.stop()

            nursery.start_soon(stop)
            assert (await job.wait(said.append)).code == 3
    assert b"".join(said).endswith(b"asked\n")


async def stopped(place: Place, *command: str) -> tuple[int, str, float]:
    """A program that was stopped when it had said `up`: exit code, output, seconds to its end."""
    said: list[bytes] = []
    job = await place.launch(*command)
    await job.release()
    began, code = 0.0, -1
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                nonlocal began
                while b"up" not in b"".join(said):  # noqa: ASYNC110
                    await trio.sleep(0.01)
                began = trio.current_time()
                await job.stop()

            nursery.start_soon(stop)
            code = (await job.wait(said.append)).code
    return code, b"".join(said).decode(), trio.current_time() - began


SAVES = """import pathlib, signal, sys, time
def save(*_):
    time.sleep(0.3)
    pathlib.Path("result").write_text("42")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("up")
while True: time.sleep(60)
"""


@pytest.mark.parametrize(
    "line", ["python3 s.py; echo done", "python3 s.py & wait", "(python3 s.py)"]
)
async def test_regression_a_program_that_a_shell_has_started_has_its_grace(
    place: Place, line: str
) -> None:
    """The shell ended at once, and the kernel killed all others with it."""
    put(place, "s.py", SAVES)
    _, _, took = await stopped(place, "sh", "-c", line)
    assert (place.work / "result").read_text() == "42"
    assert took < 1, "it did not wait for the end of the grace"


async def test_the_exit_code_comes_also_where_something_else_resists(place: Place) -> None:
    script = "(trap '' TERM; sleep 60) & trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done"
    code, _, took = await stopped(place, "sh", "-c", script)
    assert code == 3
    assert took >= 0.9


STUBBORN = """trap '' TERM INT HUP
setsid sh -c 'trap "" TERM INT HUP; sleep {0} & wait' &
{1}
echo up; while :; do sleep {0}; done"""


@pytest.mark.parametrize("more", ["", "kill -STOP $$", "kill -STOP 1"])
async def test_a_program_that_resists_ends_with_all_it_has_started(
    sandboxed: Place, more: str
) -> None:
    mark = marker()
    job = await sandboxed.launch("sh", "-c", STUBBORN.format(mark, more))
    await job.release()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                while len(alive(mark)) < 3:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                await job.stop()

            nursery.start_soon(stop)
            await job.wait(ignore)
    assert alive(mark) == []


@pytest.fixture
async def sandboxed(tmp_path: Path) -> Place:
    return await make_place(tmp_path, "bubblewrap")


async def test_nothing_survives_a_kill_at_any_moment_of_the_start(place: Place) -> None:
    """A third did where bubblewrap alone was killed."""
    mark, descriptors = marker(), open_files()
    for number in range(100):
        with trio.move_on_after(random.uniform(0, 0.020)):
            job = await place.launch("sh", "-c", f"touch ran-{number}; sleep {mark}")
            try:
                await job.release()
                await job.wait(ignore)
            finally:
                with trio.CancelScope(shield=True):
                    await job.kill()
    assert alive(mark) == []
    assert alive(str(place.work)) == []
    assert open_files() == descriptors


SERVER = """
import os, random, sys, threading, time, trio
from pathlib import Path
from pifopfs.server.engines.opening import open_engine
from pifopfs.server.sandbox.launch import Launch
async def main(kind, owner, folder, mark, delay):
    engine = await open_engine(kind, None, owner=owner)
    threading.Thread(target=lambda: (time.sleep(float(delay)), os.kill(os.getpid(), 9))).start()
    launch = Launch("a test", ("sh", "-c", f"touch ran; sleep {mark}"), Path(folder))
    job = await engine.launch(launch)
    print(job.trace, flush=True)
    await job.release()
    await job.wait(print)
trio.run(main, *sys.argv[1:])
"""


def kill_server(place: Place, kind: str, mark: str, delay: float) -> str:
    """A server that is killed so long after it began to launch a program; the trace of that."""
    owner = place.owner or marker()
    command = [
        sys.executable,
        "-c",
        SERVER,
        kind,
        owner,
        place.folder,
        mark,
        str(delay),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr
    return result.stdout.strip()


async def test_nothing_in_a_sandbox_survives_a_server_that_is_killed(sandboxed: Place) -> None:
    """The moments of the launch among them. Then bubblewrap may be left, which waits for ever."""
    mark = marker()
    for _ in range(amount(12, 100)):
        kill_server(sandboxed, "bubblewrap", mark, random.uniform(0, 0.03))
        until(lambda: not [pid for pid in alive(mark) if "bwrap" not in program(pid)], 5)
        for _ in range(3):  # one that is just becoming another program is not seen
            await trio.sleep(0.02)
            sandboxed.engine.sweep()
        until(lambda: not alive(mark), 5)
    assert not alive(str(sandboxed.work))


def program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/exe").readlink())
    return "bwrap"  # it has ended


def test_regression_a_program_whose_trace_was_not_stored_dies_with_its_server(
    tmp_path: Path,
) -> None:
    """A server killed right after a launch left a program that nobody knew."""
    place, mark = Place(None, tmp_path), marker()  # type: ignore[arg-type]
    for name in ("work", "tmp"):
        (tmp_path / name).mkdir()
    for delay in (0, 0.001, 0.002):
        kill_server(place, "none", mark, delay)
    until(lambda: not alive(mark) or (place.work / "ran").exists())
    for pid in alive(mark):  # it was released before: the next server would end it by its trace
        os.kill(pid, signal.SIGKILL)


async def test_what_a_killed_server_left_is_cleared_up(tmp_path: Path) -> None:
    place, mark = await make_place(tmp_path, "none"), marker()
    trace = kill_server(place, "none", mark, 0.5)
    assert alive(mark)
    assert await place.engine.resume(trace, Launch("a test", (), tmp_path)) is None
    until(lambda: not alive(mark))


# ── What is printed ───────────────────────────────────────────────────────────────────────────

C = """#include <stdio.h>
#include <unistd.h>
int main() { printf("first\\n"); sleep(60); return 0; }
"""
FORTRAN = """program p
print *, "first"
call sleep(60)
end program
"""
LIVE = {
    "python": ("", ["python3", "-c", "import time; print('first'); time.sleep(60)"], False),
    "c": ("gcc -o program p.c", ["./program"], False),
    "static c": ("gcc -static -o program p.c", ["./program"], True),
    "fortran": ("gfortran -o program p.f90", ["./program"], False),
}


@pytest.mark.parametrize("language", LIVE)
async def test_what_a_program_prints_comes_while_it_runs(place: Place, language: str) -> None:
    build, command, terminal = LIVE[language]
    put(place, "p.c", C)
    put(place, "p.f90", FORTRAN)
    if build:
        if shutil.which(build.split()[0]) is None:
            pytest.skip(f"{build.split()[0]} is not installed")
        await trio.run_process(["sh", "-c", build], cwd=place.work)
    said: list[bytes] = []
    job = await place.launch(*command, sandbox=SandboxSettings(terminal=terminal))
    await job.release()
    with trio.fail_after(15):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(job.wait, said.append)
            while b"first" not in b"".join(said):  # noqa: ASYNC110
                await trio.sleep(0.01)
            await job.kill()
    assert b"".join(said).strip() == b"first"


async def test_a_terminal_keeps_newlines_as_they_are_and_ends(place: Place) -> None:
    settings = SandboxSettings(terminal=True)
    assert await place.run("sh", "-c", "[ -t 1 ] && echo a; echo b", sandbox=settings) == (
        0,
        "a\nb\n",
    )


async def test_endless_output_is_taken(place: Place) -> None:
    code, said = await place.run("sh", "-c", "head -c 50000000 /dev/zero; exit 4")
    assert (code, len(said)) == (4, 50_000_000)


# ── Traces ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def session(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Trace, int]]:
    """A session of a shell, its trace, and another process in it, in a group of its own."""
    script = f"set -m; sleep 600 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; cat"
    process = subprocess.Popen(
        ["bash", "-c", script], start_new_session=True, stdin=subprocess.PIPE
    )
    until((tmp_path / "pid").exists)
    child = int((tmp_path / "pid").read_text())
    yield process, Trace.of(process.pid), child
    for pid in (child, process.pid):
        if (found := look(pid)) and found.session == process.pid:
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=10)


Session = tuple[subprocess.Popen[bytes], Trace, int]


def test_a_session_is_killed_with_all_its_groups(session: Session) -> None:
    process, trace, child = session
    kill_session(trace)
    process.wait(10)
    until(lambda: start_time(child) is None)


def test_regression_a_session_is_killed_when_its_leader_has_died(session: Session) -> None:
    """What a program had started outlived the next server."""
    process, trace, child = session
    process.kill()
    process.wait(10)
    assert start_time(child) is not None
    kill_session(trace)
    until(lambda: start_time(child) is None)


def test_regression_a_trace_from_before_a_reboot_fits_no_process(session: Session) -> None:
    _, trace, child = session
    kill_session(Trace("another-boot", trace.pid, trace.started))
    kill_session(Trace(trace.boot, trace.pid, trace.started + 1))
    assert start_time(child) is not None
    assert Trace.parse(str(trace)) == trace


def test_a_name_of_any_bytes(tmp_path: Path) -> None:
    program = tmp_path / os.fsdecode(b"\xff) R 1")
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "600"])
    try:
        found = look(process.pid)
        assert found is not None
        assert found.session == os.getsid(0)
    finally:
        process.kill()
        process.wait(10)
