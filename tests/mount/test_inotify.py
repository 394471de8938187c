"""Programs that wait with inotify are told what changes at the service."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import pytest

from pifopfs.mount.holders import find_holders
from tests.fakeservice import FakeExecution, FakeService, until
from tests.mount.harness import Mount
from tests.mount.test_idle import wake_ups
from tests.mount.watching import (
    DIRECTORY_NOT_EMPTY,
    PATH_CHANGED,
    PATH_MODIFIED,
    raisers,
    watching,
)

USER = 65534


@pytest.fixture
def running(job: Mount, service: FakeService) -> Mount:
    """An execution that runs."""
    job.sh("echo 1 > executions/j/start")
    return job


def followed(service: FakeService, endpoint: str = "status") -> None:
    """Return when a watch makes the mount ask the service."""
    before = service.count(endpoint)
    until(lambda: service.count(endpoint) >= before + 2)


# ── What is told ──────────────────────────────────────────────────────────────────────────────


# > What changes at the service is told to programs that watch `status`, `end_reason`, `exit_code`,
# > `status.json`, `error`, `log`, `output/` or the execution's directory with inotify, as if a
# > local program had written the file: MODIFY and CLOSE_WRITE;
#
# > Who reads then has what is new.
@pytest.mark.parametrize("name", ["status", "status.json"])
def test_a_watch_on_a_value_is_told_of_start_and_end(
    job: Mount, service: FakeService, name: str
) -> None:
    with watching(job, "modify,close_write", f"j/{name}") as watcher:
        service.only().status = "running"
        until(lambda: watcher.told == [f"MODIFY j/{name}", f"CLOSE_WRITE,CLOSE j/{name}"])
        assert "running" in job.out(f"cat executions/j/{name}")
        service.only().end()
        until(lambda: len(watcher.told) == 4)
        assert "ended" in job.out(f"cat executions/j/{name}")


# > `status` comes last.
def test_a_watch_on_the_directory_is_told_of_all_values_the_status_last(
    running: Mount, service: FakeService
) -> None:
    with watching(running, "modify", "j") as watcher:
        followed(service)
        service.only().extra = {"exit_code": 3}
        service.only().end("error")
        until(lambda: watcher.hears("MODIFY j/end_reason") and "j/status" in watcher.told[-1][-8:])
        changed = {event.split("/")[1] for event in watcher.told}
        assert changed == {"status", "status.json", "end_reason", "exit_code"}


def test_a_watch_is_told_that_the_execution_is_gone(running: Mount, service: FakeService) -> None:
    with watching(running, "modify", "j/status") as watcher:
        followed(service)
        service.executions.clear()
        until(lambda: watcher.hears("MODIFY j/status"))
        assert running.out("cat executions/j/status") == "gone\n"


def test_a_watch_on_the_log_is_told_when_it_grows(running: Mount, service: FakeService) -> None:
    with watching(running, "modify", "j/log") as watcher:
        for line in ("1\n", "2\n", "3\n"):
            told = len(watcher.told)
            service.only().log += line.encode()
            until(partial(lambda before: len(watcher.told) > before, told))
            assert running.out("tail -n 1 executions/j/log") == line
        service.only().log += b"end\n"
        service.only().end()
        until(lambda: len(watcher.told) == 4)
        assert watcher.told == ["MODIFY j/log"] * 4
        assert running.out("cat executions/j/log") == "1\n2\n3\nend\n"


# > CREATE, too, for an output that has appeared;
def test_a_watch_on_output_is_told_of_each(running: Mount, service: FakeService) -> None:
    with watching(running, "create,close_write", "j/output") as watcher:
        followed(service)
        service.only().end(result=b"42\n", other=b"")
        until(lambda: len(watcher.told) == 4)
        assert set(watcher.told) == {
            f"{event} j/output/{name}"
            for event in ("CREATE", "CLOSE_WRITE,CLOSE")
            for name in ("result", "other")
        }
        assert running.out("cat executions/j/output/result") == "42\n"


def test_outputs_that_the_kernel_knows_already_are_told_all_the_same(
    running: Mount, service: FakeService
) -> None:
    """Somebody lists them as soon as they are there, and has one open."""
    code = """
    import os, time
    def look():
        try:
            return os.open("executions/j/output/result", os.O_RDONLY)
        except FileNotFoundError:
            return None
    while (file := look()) is None: pass
    time.sleep(3)
    print(os.read(file, 10), os.fstat(file).st_size)
    """
    with watching(running, "create", "j/output") as watcher:
        followed(service)
        reader = running.spawn(sys.executable, "-c", textwrap.dedent(code))
        service.only().end(result=b"42\n")
        until(lambda: watcher.told == ["CREATE j/output/result"])
        assert reader.communicate(timeout=20)[0] == "b'42\\n' 3\n"


# > ATTRIB where a watch on a file waits for neither MODIFY nor CLOSE_WRITE.
def test_a_watch_for_attributes_alone_is_told(running: Mount, service: FakeService) -> None:
    with watching(running, "attrib", "j/status") as watcher:
        followed(service)
        service.only().end()
        until(lambda: watcher.told == ["ATTRIB j/status"])


# > What has changed within the second before a directory was watched may be told, too.
def test_a_change_before_a_file_was_watched_is_not_told(job: Mount, service: FakeService) -> None:
    job.sh("echo 1 > executions/j/start")
    with watching(job, "modify", "j/status") as watcher:
        followed(service)
        assert watcher.told == []


# > A watch is found by a look into /proc, which follows at once on a look at an execution that may
# > change; from one to the next of them is 2 s (`PIFOPFS_WATCH_INTERVAL`). What has changed before
# > the watch was found, is told then.
def test_a_change_is_told_that_came_before_the_watch_was_found(service: FakeService) -> None:
    root, env = service.socket.parent, {"PIFOPFS_WATCH_INTERVAL": "4"}
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=env) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start; sleep 0.5; ls executions/j")
        with watching(mount, "modify,create", "j/status", "j/output") as watcher:
            service.only().end(result=b"1")
            assert mount.out("cat executions/j/wait executions/j/status") == "normal\nended\n"
            assert watcher.told == []  # the next look for watches comes later
            wanted = {"MODIFY j/status", "CREATE j/output/result"}
            until(lambda: wanted <= set(watcher.told))


# ── Programs ──────────────────────────────────────────────────────────────────────────────────


# > So `inotifywait`, `entr`, systemd's path units and the `tail -f` of uutils work.
@pytest.mark.parametrize("events", [PATH_CHANGED, PATH_MODIFIED])
@pytest.mark.parametrize("path", ["status", "log"])
def test_a_path_unit_on_a_file(
    running: Mount, service: FakeService, events: str, path: str
) -> None:
    with watching(running, events, f"j/{path}") as watcher:
        followed(service, "log" if path == "log" else "status")
        service.only().log = b"1\n"
        service.only().end()
        until(lambda: watcher.hears(f"CLOSE_WRITE,CLOSE j/{path}"))
        assert watcher.hears(f"MODIFY j/{path}") == (events == PATH_MODIFIED)
        assert not any(event.startswith("ATTRIB") for event in watcher.told)


@pytest.mark.parametrize("events", [DIRECTORY_NOT_EMPTY, PATH_CHANGED])
def test_a_path_unit_on_output(running: Mount, service: FakeService, events: str) -> None:
    with watching(running, events, "j/output") as watcher:
        followed(service)
        service.only().end(result=b"1")
        until(lambda: watcher.hears("CREATE j/output/result"))


def test_entr(running: Mount, service: FakeService) -> None:
    seen = running.root / "seen"
    command = f"cd executions/j; exec entr -n sh -c 'cat log >> {seen}' <<< log"
    running.spawn("bash", "-c", command)
    until(seen.exists)
    followed(service, "log")
    service.only().log = b"grown\n"
    until(lambda: "grown\n" in seen.read_text())


# ── Who is told ───────────────────────────────────────────────────────────────────────────────


# > The programs that count are those of the user who mounted, and of `-o uid=`; with `-o notify`
# > all that /proc shows.
@pytest.mark.parametrize("options", ["allow_other,umask=022", "allow_other,umask=022,notify"])
def test_the_watches_of_other_users(service: FakeService, options: str) -> None:
    root, told = service.socket.parent, options.endswith("notify")
    root.chmod(0o711)
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, "-o", options) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        with (
            watching(mount, "modify", "j/status", user=USER) as watcher,
            watching(mount, "modify", "j/log"),
        ):
            followed(service, "log")  # so watches have been looked for
            service.only().end()
            if told:
                until(lambda: watcher.hears("MODIFY j/status"))
            assert mount.out("cat executions/j/wait executions/j/status") == "normal\nended\n"
            assert bool(watcher.told) == told


def test_the_watches_of_the_owner(service: FakeService) -> None:
    root, options = service.socket.parent, f"allow_other,uid={USER},gid={USER}"
    root.chmod(0o711)
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, "-o", options) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        with watching(mount, "close_write", "j/status", user=USER) as watcher:
            followed(service)
            service.only().end()
            until(lambda: watcher.hears("CLOSE_WRITE,CLOSE j/status"))


# ── What it costs ─────────────────────────────────────────────────────────────────────────────


# > A watch counts as a reader who waits, while it is there: for the status as `wait` does, for
# > `log` as `tail -f`.
def test_nothing_is_asked_when_the_watch_has_gone(running: Mount, service: FakeService) -> None:
    with watching(running, "modify", "j/status", "j/log"):
        followed(service, "log")
        followed(service)

    def silent() -> bool:
        before = len(service.requests)
        time.sleep(1.5)
        return len(service.requests) == before

    until(silent, 20)


# > Without a watch there is no request,
def test_who_only_looks_causes_no_search_and_no_request(
    running: Mount, service: FakeService
) -> None:
    running.sh("ls -lR executions > /dev/null; cat executions/j/status")
    asked = len(service.requests)
    time.sleep(2.5)
    assert len(service.requests) == asked
    assert raisers(running) == []


# > and a watch of what has ended costs nothing.
def test_a_watch_of_an_execution_that_has_ended_costs_nothing(
    running: Mount, service: FakeService
) -> None:
    with watching(running, "modify", "j", "j/status", "j/log", "j/output") as watcher:
        service.only().end()
        until(lambda: watcher.hears("MODIFY j/status"))
        falls_asleep(running, service)


def falls_asleep(mount: Mount, service: FakeService) -> None:
    """The daemon does nothing any more, and makes no request."""

    def done() -> tuple[int, list[str], int]:
        ticks = Path(f"/proc/{mount.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return wake_ups(mount.pid), ticks, len(service.requests)

    def asleep() -> bool:
        before = done()
        time.sleep(1.5)
        return done() == before

    until(asleep, 30)


def test_regression_a_watch_of_an_execution_that_was_adopted_after_its_end(
    mount: Mount, service: FakeService
) -> None:
    """It has no time at which this mount saw it end."""
    service.executions["exec_A1"] = FakeExecution("exec_A1", "ended", "normal")
    mount.sh("test -d executions/exec_A1; mkdir executions/j")
    with watching(mount, "modify", "exec_A1/status", "j/status") as watcher:
        service.executions[mount.out("cat executions/j/id").strip()].end()
        until(lambda: watcher.hears("MODIFY j/status"))
        falls_asleep(mount, service)


# ── What it leaves as it was ──────────────────────────────────────────────────────────────────


# > The events come from a process of the daemon's that opens the files for writing, or creates
# > them. Only for it does that succeed;
def test_the_calls_of_others_are_refused_as_ever(running: Mount, service: FakeService) -> None:
    with watching(running, "modify,create", "j/log", "j/output"):
        followed(service, "log")
        service.only().log = b"1\n"
        until(lambda: raisers(running) != [])
        shown = running.out("stat -c '%a %Y %s' executions/j/status executions/j/log")
        for attempt, answer in {
            "touch executions/j/status": "Permission denied",
            "chmod 600 executions/j/status": "not permitted",
            "echo 1 > executions/j/log": "Permission denied",
            "echo 1 >> executions/j/status": "Permission denied",
            "touch executions/j/output/result": "Permission denied",
        }.items():
            assert answer in running.sh(attempt, check=False).stderr
        times = shown.split()
        assert times[0] == "400"
        assert times[3] == "600"


# > modes, times and bytes stay as they are.
def test_the_time_of_a_change_stays_that_of_the_change(
    running: Mount, service: FakeService
) -> None:
    with watching(running, "modify,attrib", "j/status") as watcher:
        followed(service)
        service.only().end()
        until(lambda: watcher.hears("MODIFY j/status"))
        first = running.out("stat -c '%a %y' executions/j/status executions/j/end_reason")
        status, reason = first.splitlines()
        assert status == reason  # of which nobody has raised an event


# > It keeps no mount busy.
@pytest.mark.parametrize("how", ["umount", "pifopfs umount"])
def test_a_watch_keeps_no_mount_busy(running: Mount, service: FakeService, how: str) -> None:
    with watching(running, "", "j/log") as watcher:
        followed(service, "log")
        service.only().log = b"1\n"
        until(lambda: watcher.hears("MODIFY j/log"))
        if how == "umount":
            subprocess.run(["umount", str(running.path)], check=True, timeout=20)
        else:
            running.umount()
        assert not running.mounted()
        until(lambda: raisers(running) == [])


def test_the_raiser_dies_with_the_daemon(running: Mount, service: FakeService) -> None:
    with watching(running, "modify", "j/log") as watcher:
        followed(service, "log")
        service.only().log = b"1\n"
        until(lambda: watcher.hears("MODIFY j/log"))
        assert len(raisers(running)) == 1
        running.kill()
        until(lambda: raisers(running) == [])


def test_a_raiser_that_was_killed_is_replaced(running: Mount, service: FakeService) -> None:
    with watching(running, "modify", "j/log") as watcher:
        followed(service, "log")
        service.only().log = b"1\n"
        until(lambda: len(watcher.told) == 1)
        for process in raisers(running):
            os.kill(process, signal.SIGKILL)
        service.only().log += b"2\n"
        until(lambda: len(watcher.told) == 2)


def asked_for_something(process: int) -> bool:
    """Whether its input holds what it has not read yet."""
    with Path(f"/proc/{process}/fd/0").open("rb", buffering=0) as waiting:
        return bool(select.select([waiting], [], [], 0)[0])


def test_regression_an_event_was_lost_with_the_process_that_raised_it(
    running: Mount, service: FakeService
) -> None:
    with watching(running, "modify", "j/log") as watcher:
        followed(service, "log")
        service.only().log = b"1\n"
        until(lambda: watcher.hears("MODIFY j/log") and not find_holders(running.path))
        (process,) = raisers(running)
        os.kill(process, signal.SIGSTOP)
        service.only().log += b"2\n"
        until(lambda: asked_for_something(process))
        os.kill(process, signal.SIGKILL)
        until(lambda: len(watcher.told) == 2)


def test_a_raiser_that_hangs_holds_nothing_up(running: Mount, service: FakeService) -> None:
    with watching(running, "modify", "j/log") as watcher:
        followed(service, "log")
        service.only().log = b"1\n"
        until(lambda: watcher.hears("MODIFY j/log") and not find_holders(running.path))
        for process in raisers(running):
            os.kill(process, signal.SIGSTOP)
        service.only().log += b"2\n"
        service.only().end(result=b"42\n")
        assert running.out("cat executions/j/wait executions/j/output/result", timeout=5) == (
            "normal\n42\n"
        )
        subprocess.run(["umount", str(running.path)], check=True, timeout=20)
        until(lambda: raisers(running) == [])


# > With `-o ro` nothing is told, because the kernel lets nobody write.
def test_a_mount_that_can_only_be_read_tells_nothing(running: Mount, service: FakeService) -> None:
    running.umount()
    read_only = Mount(running.root, running.target, *running.args, "-o", "ro")
    with read_only, watching(read_only, "modify", "j/status") as watcher:
        service.only().end()
        assert read_only.out("sleep 0.5; cat executions/j/status") == "ended\n"
        assert watcher.told == []
        assert raisers(read_only) == []
