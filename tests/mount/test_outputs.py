"""output/: there at the end, downloaded when read, whole or an error."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.fakeservice import FakeService, dribble, refuse, short, until
from tests.mount.harness import Mount

BIG = bytes(range(256)) * 40_000  # 10 MiB


def ended(mount: Mount, service: FakeService, **outputs: bytes) -> None:
    """Bring execution `j` to its end."""
    mount.sh("echo 1 > executions/j/start")
    service.only().end(**outputs)
    assert mount.out("cat executions/j/wait") == "normal\n"


# > Empty until the end; then what was produced,
def test_outputs_are_listed_once_ended(job: Mount, service: FakeService) -> None:
    job.sh("echo 1 > executions/j/start")
    assert job.out("ls executions/j/output") == ""
    service.only().end(result=b"42\n", log2=b"")
    until(lambda: job.out("ls executions/j/output") == "log2\nresult\n")
    assert job.out("cat executions/j/output/result executions/j/output/log2") == "42\n"


def test_a_loop_that_looks_for_an_output_by_name_finds_it(job: Mount, service: FakeService) -> None:
    job.sh("echo 1 > executions/j/start")
    waiting = job.spawn(
        "sh", "-c", "until [ -e executions/j/output/result ]; do sleep 0.05; done; echo there"
    )
    service.only().end(result=b"42\n")
    assert waiting.communicate(timeout=20)[0] == "there\n"


# > `ls -l` shows the size where the service tells it (with the execution, or by one request for
# > each output, the first time);
def test_ls_shows_the_size_without_a_download(job: Mount, service: FakeService) -> None:
    ended(job, service, result=BIG)
    assert job.out("stat -c %s executions/j/output/result") == f"{len(BIG)}\n"
    job.sh("ls -l executions/j/output; du -s executions/j; find executions -size +1M")
    assert service.count("size") == 1
    assert service.count("output") == 0


# > Once complete it is in the cache, and reads come from the kernel's page cache.
def test_an_output_is_downloaded_once_and_then_read_from_the_cache(
    job: Mount, service: FakeService
) -> None:
    ended(job, service, result=BIG)
    for _ in range(3):
        job.sh(f"cp executions/j/output/result {job.root}/copy")
        assert (job.root / "copy").read_bytes() == BIG
    job.umount()
    service.down()
    service.up()
    job.mount()
    job.sh(f"cmp executions/j/output/result {job.root}/copy")
    assert service.count("output") == 1


# > It is shared by all readers,
def test_several_readers_share_a_download(job: Mount, service: FakeService) -> None:
    ended(job, service, result=BIG)
    job.sh(f"for i in 1 2 3 4; do cat executions/j/output/result > {job.root}/$i & done; wait")
    assert all((job.root / str(i)).read_bytes() == BIG for i in (1, 2, 3, 4))
    assert service.count("output") == 1


# > and gives bytes as they arrive.
def test_bytes_that_have_arrived_are_read_before_the_rest(job: Mount, service: FakeService) -> None:
    ended(job, service, result=BIG)
    release = threading.Event()
    service.fault("output", dribble(BIG, release, 1_000_000))
    out = job.sh(f"head -c 500000 executions/j/output/result > {job.root}/head; echo done")
    assert out.stdout == "done\n"
    assert (job.root / "head").read_bytes() == BIG[:500_000]
    release.set()


def test_seeks_mmap_and_tools_that_trust_the_size(job: Mount, service: FakeService) -> None:
    ended(job, service, result=BIG)
    job.python(
        "import mmap, os\n"
        "fd = os.open('executions/j/output/result', os.O_RDONLY)\n"
        "assert os.pread(fd, 10, 9_000_000) == (bytes(range(256)) * 2)[64:74]\n"
        "assert os.pread(fd, 10, 10_240_000 - 5) == bytes(range(251, 256))\n"
        "assert os.pread(fd, 10, 10_240_000) == b''"
    )
    job.sh("cat executions/j/output/result > /dev/null")
    job.python(
        "import mmap, os\n"
        "fd = os.open('executions/j/output/result', os.O_RDONLY)\n"
        "m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)\n"
        "assert len(m) == 10_240_000 and m[256:512] == bytes(range(256))"
    )
    job.sh(
        f"tar cf {job.root}/a.tar -C executions/j/output result; tar xf {job.root}/a.tar"
        f" -C {job.root}; cmp executions/j/output/result {job.root}/result"
    )


# > where it does not,
#
# > the size is 0 until the file is open.
def test_without_head_the_size_is_there_once_the_file_is_open(
    job: Mount, service: FakeService
) -> None:
    service.supports_head = False
    ended(job, service, result=BIG)
    assert job.out("stat -c %s executions/j/output/result") == "0\n"
    job.python(f"import shutil; shutil.copyfile('executions/j/output/result', '{job.root}/copy')")
    assert (job.root / "copy").read_bytes() == BIG
    assert job.out("stat -c %s executions/j/output/result") == f"{len(BIG)}\n"


def test_without_any_length_the_output_is_whole_all_the_same(
    job: Mount, service: FakeService
) -> None:
    service.tells_length = False
    ended(job, service, result=BIG)
    job.python(f"import shutil; shutil.copyfile('executions/j/output/result', '{job.root}/copy')")
    assert (job.root / "copy").read_bytes() == BIG


# > errors are errors, never short data.
#
# > A body that comes short or differs from what was announced is EIO, never a shorter file; the
# > next open downloads anew.
def test_a_body_that_comes_short_is_an_error_and_never_a_shorter_file(
    job: Mount, service: FakeService
) -> None:
    ended(job, service, result=b"x" * 1000)
    service.fault("output", short(b"x" * 400, 1000))
    result = job.sh("cat executions/j/output/result", check=False)
    assert "Input/output error" in result.stderr
    assert "output result" in job.out("cat executions/j/error")
    service.heal()
    assert job.out("cat executions/j/output/result") == "x" * 1000
    assert job.out("cat executions/j/error") == ""


def test_a_body_of_another_length_than_was_announced_is_an_error_once(
    job: Mount, service: FakeService
) -> None:
    ended(job, service, result=b"x" * 1000)
    job.sh("stat executions/j/output/result")
    service.only().outputs["result"] = b"y" * 10
    result = job.sh("cat executions/j/output/result", check=False)
    assert "Input/output error" in result.stderr
    until(lambda: job.sh("cat executions/j/output/result", check=False).stdout == "y" * 10)


def test_outputs_cannot_be_written_or_made(job: Mount, service: FakeService) -> None:
    ended(job, service, result=b"1")
    for command in ["echo x > executions/j/output/result", "echo x > executions/j/output/new",
                    "truncate -s 0 executions/j/output/result"]:  # fmt: skip
        assert "Permission denied" in job.sh(command, check=False).stderr


# > `rm` drops the cached bytes only.
def test_rm_of_an_output_drops_the_local_bytes_only(job: Mount, service: FakeService) -> None:
    ended(job, service, result=b"42")
    job.sh("cat executions/j/output/result; rm executions/j/output/result")
    assert job.out("cat executions/j/output/result") == "42"
    assert service.count("output") == 2


# > An output is never older than the start of its execution, so `make` works.
def test_an_output_is_never_older_than_the_start(job: Mount, service: FakeService) -> None:
    job.sh("echo 1 > executions/j/input/coords")
    ended(job, service, result=b"42")
    job.sh("[ executions/j/output/result -nt executions/j/input/coords ]")
    (job.root / "Makefile").write_text(
        f"{job.path}/executions/j/output/result: {job.path}/executions/j/input/coords\n\tfalse\n"
    )
    assert "up to date" in job.out(f"make -f {job.root}/Makefile")


# > so do outputs whose download is complete.
#
# > and unfinished downloads get ESTALE.
def test_an_unfinished_download_fails_at_termination_and_a_finished_one_stays(
    job: Mount, service: FakeService
) -> None:
    ended(job, service, a=b"whole", b=BIG)
    release = threading.Event()
    job.sh("cat executions/j/output/a")
    service.fault("output", dribble(BIG, release, 1000))
    script = (
        "import os\n"
        "a = os.open('executions/j/output/a', os.O_RDONLY)\n"
        "b = os.open('executions/j/output/b', os.O_RDONLY)\n"
        "print(len(os.read(b, 1000)), flush=True)\n"
        "input()\n"
        "print(os.read(a, 10))\n"
        "try: os.pread(b, 1000, 5_000_000)\n"
        "except OSError as e: print(e.strerror)"
    )
    process = job.spawn("python3", "-c", script, stdin=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == "1000\n"
    job.sh("rmdir executions/j")
    out, _ = process.communicate("\n", timeout=20)
    assert out == "b'whole'\nStale file handle\n"
    release.set()


def test_a_reader_of_a_stalled_download_dies_of_a_signal(job: Mount, service: FakeService) -> None:
    ended(job, service, result=BIG)
    release = threading.Event()
    service.fault("output", dribble(BIG, release, 1000))
    process = job.spawn("cat", "executions/j/output/result")
    until(lambda: service.count("output"))
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT
    release.set()


def test_a_stalled_download_fails_in_bounded_time(job: Mount, service: FakeService) -> None:
    ended(job, service, result=BIG)
    release = threading.Event()
    service.fault("output", dribble(BIG, release, 1000))
    result = job.sh("cat executions/j/output/result > /dev/null", check=False, timeout=40)
    assert "timed out" in result.stderr
    release.set()


def test_an_output_that_the_service_refuses(job: Mount, service: FakeService) -> None:
    ended(job, service, result=b"1")
    service.fault("size", refuse(403))
    service.fault("output", refuse(403))
    assert "Permission denied" in job.sh("cat executions/j/output/result", check=False).stderr


def test_the_cache_is_bounded(service: FakeService) -> None:
    args = ("joe/tsp", "--endpoint", service.endpoint)
    with Mount(service.socket.parent, *args, env={"PIFOPFS_CACHE_SIZE": "2500"}) as mount:
        mount.sh("mkdir executions/j")
        ended(mount, service, a=b"a" * 1000, b=b"b" * 1000, c=b"c" * 1000, d=b"d" * 5000)
        for name in "abcd":
            assert mount.out(f"cat executions/j/output/{name} | tail -c 1") == name
        files = [p for p in (mount.root / "cache").rglob("*") if p.is_file()]
        assert sum(path.stat().st_size for path in files) <= 2500
        mount.sh("cat executions/j/output/c executions/j/output/b > /dev/null")
        assert service.count("output") == 4


# > its inputs and cached outputs stay readable,
def test_cached_outputs_of_an_execution_that_is_gone_stay_readable(
    job: Mount, service: FakeService
) -> None:
    ended(job, service, result=b"42")
    job.sh("cat executions/j/output/result")
    job.umount()
    service.executions.clear()
    job.mount()
    assert job.out("cat executions/j/output/result") == "42"
    assert job.out("cat executions/j/status") == "gone\n"
    assert job.out("cat executions/j/output/result") == "42"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set it")
def test_the_kernel_reads_a_megabyte_ahead(job: Mount) -> None:
    device = os.lstat(job.path).st_dev
    path = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
    if not os.access(path, os.W_OK):
        pytest.skip("/sys is not for writing here")
    until(lambda: path.read_text() == "1024\n")
