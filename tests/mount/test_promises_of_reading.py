"""What docs/SEMANTICS.md promises of values, logs and outputs, and no other tests are about."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

from pifopfs.config import Limits
from pifopfs.tree.settings import Settings
from tests.fakeservice import FakeService, Handler, delayed, dribble, hang, short, until
from tests.mount.harness import Mount

START = "echo 1 > executions/j/start"


def ended(mount: Mount, service: FakeService, **outputs: bytes) -> None:
    """Bring execution `j` to its end."""
    mount.sh(START)
    service.only().outputs.update(outputs)
    service.only().end()
    assert mount.out("cat executions/j/wait; ls executions/j/output > /dev/null") == "normal\n"


# ── Values ────────────────────────────────────────────────────────────────────────────────────


# > A read is of the state at `open`.
def test_a_value_is_of_the_state_at_open(job: Mount) -> None:
    script = "cd executions/j; exec 5< status; echo 1 > start; cat status; cat <&5"
    assert job.out(script) == "running\npending\n"


# > A status that can't be had fresh is an error of `open`, except for an execution that has ended.
def test_an_end_that_is_known_needs_no_service(root: Path, service: FakeService) -> None:
    args = ("joe/tsp", "--endpoint", service.endpoint)
    with Mount(root, *args, env={"PIFOPFS_GONE_RECHECK": "0.1"}) as mount:
        mount.sh("mkdir executions/{j,k}; echo 1 > executions/j/start; echo 1 > executions/k/start")
        next(iter(service.executions.values())).end()
        until(lambda: mount.out("cat executions/j/status") == "ended\n")
        service.down()
        until(lambda: mount.sh("cat executions/k/status", check=False).returncode != 0)
        assert mount.out("cat executions/j/status executions/j/end_reason") == "ended\nnormal\n"


# > so that `until [ -s log ]` would wait for ever: say `until grep -q . log`. The `mtime` of a log
# > that may have grown is the present, so that `rsync -a`, `cp -u` and `make` look into it.
def test_a_log_is_looked_into_and_not_at(job: Mount, service: FakeService) -> None:
    job.sh(START)
    service.only().log = b"one\n"
    assert job.out("cd executions/j; if [ -s log ]; then echo told; fi; grep . log") == "one\n"
    copy = f"cp -u executions/j/log {job.root}/copy"
    job.sh(copy)
    service.only().log += b"two\n"
    until(lambda: job.out(f"{copy}; cat {job.root}/copy") == "one\ntwo\n")
    assert time.time() - float(job.out("stat -c %.9Y executions/j/log")) < 5


# > an open waits for the whole log, and so does a reader at the end.
def test_a_reader_at_the_end_of_a_log_waits_for_the_rest(job: Mount, service: FakeService) -> None:
    job.sh(START)
    service.only().log = b"one\n"
    reader = job.spawn(
        "python3", "-c",
        "log = open('executions/j/log', 'rb', buffering=0)\n"
        "print(log.read(), flush=True); input(); print(log.read())",
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert reader.stdout is not None
    assert reader.stdin is not None
    assert reader.stdout.readline() == "b'one\\n'\n"
    service.only().log += b"two\n"
    service.only().end()
    release = threading.Event()
    before = service.count("log")
    service.fault("log", delayed(release))
    assert job.out("cat executions/j/wait") == "normal\n"
    print(file=reader.stdin, flush=True)
    until(lambda: service.count("log") > before)
    assert reader.poll() is None
    release.set()
    assert reader.communicate(timeout=20)[0] == "b'two\\n'\n"


# > `mtime` is the local clock when this mount first saw the change.
def test_mtime_is_when_the_change_was_seen(job: Mount, service: FakeService) -> None:
    seen = "stat -c %.9Y executions/j/status"
    created = float(job.out(seen))
    job.sh(START)
    before = time.time()
    service.only().end()
    until(lambda: job.out("cat executions/j/status") == "ended\n")
    changed = float(job.out(seen))
    assert created < before < changed < time.time()
    assert float(job.out(seen)) == changed


# ── Outputs ───────────────────────────────────────────────────────────────────────────────────


# > **What you read is true.** An output never mixes two downloads;
def test_an_output_never_mixes_two_downloads(job: Mount, service: FakeService) -> None:
    release = threading.Event()

    def cut(handler: Handler) -> None:
        """Some of the first version, and no more of it."""
        short(b"a" * 400_000, 1_000_000)(handler)
        release.wait(30)

    ended(job, service, result=b"a" * 1_000_000)
    service.fault("output", cut, times=1)
    reader = job.spawn(
        "python3", "-c",
        "import os\n"
        "cut = os.open('executions/j/output/result', os.O_RDONLY)\n"
        "print(set(os.read(cut, 1000)), flush=True)\n"
        "input()\n"
        "for offset in 500_000, 0:\n"
        "    try: print(set(os.pread(cut, 1_000_000, offset)))\n"
        "    except OSError as error: print(error.strerror)\n",
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert reader.stdout is not None
    assert reader.stdout.readline() == "{97}\n"
    service.only().outputs["result"] = b"b" * 1_000_000
    release.set()
    until(lambda: "output result" in job.out("cat executions/j/error"))
    assert set(job.out("cat executions/j/output/result")) == {"b"}
    out, _ = reader.communicate("\n", timeout=20)
    assert "{98}" not in out
    assert out.startswith("Input/output error\n")


# > A shared `mmap` needs the whole output, and is ENODEV before.
#
# > A download whose last reader goes before it is complete (`head -c`, `dd count=`) is given up;
# > the next reader begins a new one.
def test_a_download_that_is_not_read_to_its_end(job: Mount, service: FakeService) -> None:
    ended(job, service, result=b"x" * 1_000_000)
    release = threading.Event()
    service.fault("output", dribble(b"x" * 1_000_000, release, 1000), times=2)
    mapped = "import mmap; f = open('executions/j/output/result'); mmap.mmap(f.fileno(), 0, prot=1)"
    assert "No such device" in job.sh(f'python3 -c "{mapped}"', check=False).stderr
    assert job.out("head -c 10 executions/j/output/result") == "x" * 10
    assert service.count("output") == 2
    release.set()
    assert len(job.out("cat executions/j/output/result")) == 1_000_000
    assert service.count("output") == 3
    job.python(mapped)


# > A download begins with the first `open`, which waits a moment for the whole
# > (`PIFOPFS_WHOLE_WAIT`, a quarter of a second), or, where it has more than 64 MiB,
# > with the first read.
def test_a_download_begins_with_the_open(job: Mount, service: FakeService) -> None:
    assert Settings(Path("/s"), Path("/c")).whole_wait == 0.25
    ended(job, service, result=b"42", long=b"x" * 1000)
    job.sh("ls -l executions/j/output; stat executions/j/output/*")
    assert service.count("output") == 0
    job.sh("exec 5< executions/j/output/result")
    until(lambda: service.count("output") == 1)
    service.fault("output", dribble(b"x" * 1000, threading.Event(), 10))
    job.sh("exec 5< executions/j/output/long; head -c 10 <&5", timeout=10)


# > A listing of a running execution's outputs waits as long, then it is ETIMEDOUT.
def test_a_listing_of_outputs_waits_a_moment_for_the_service(
    job: Mount, service: FakeService
) -> None:
    job.sh(START)
    service.fault("status", hang(threading.Event(), 30))
    until(lambda: "timed out" in job.sh("ls executions/j/output", check=False, timeout=20).stderr)


# ── Open files of a terminated execution ──────────────────────────────────────────────────────


# > Writes and flushes on inputs and unfinished downloads get ESTALE.
def test_writes_and_closes_of_inputs_of_a_terminated_execution(job: Mount) -> None:
    out = job.python(
        "import os\n"
        "opened = [os.open(f'executions/j/input/{n}', os.O_WRONLY | os.O_CREAT) for n in 'ab']\n"
        "os.write(opened[0], b'x')\n"
        "os.rmdir('executions/j')\n"
        "for call in (lambda: os.close(opened[0]), lambda: os.write(opened[1], b'x')):\n"
        "    try: call()\n"
        "    except OSError as error: print(error.strerror)\n"
    )
    assert out == "Stale file handle\n" * 2


# ── Figures ───────────────────────────────────────────────────────────────────────────────────


# > An outage is ridden out for five minutes
#
# > has not answered for 3 s (`PIFOPFS_PATIENCE`)
#
# > The status is at most one second old (`PIFOPFS_FRESHNESS`)
#
# > ends a minute after the last mount and the last run
def test_the_figures_of_the_document_are_the_defaults() -> None:
    settings = Settings(Path("/s"), Path("/c"))
    assert (settings.wait_outage, settings.patience, settings.freshness) == (300, 3, 1)
    assert Limits().server_linger == 60
