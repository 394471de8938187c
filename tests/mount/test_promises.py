"""What docs/SEMANTICS.md promises and no other file of tests is about."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

from pifopfs.api import Deadlines
from pifopfs.tree.names import Names
from pifopfs.wire import ExecutionId
from tests.fakeservice import FakeService, delayed, hang, refuse, until
from tests.mount.harness import Mount

START = "echo 1 > executions/{}/start"


def error_of(mount: Mount, script: str) -> str:
    """What a script that must fail says."""
    result = mount.sh(script, check=False)
    assert result.returncode != 0, script
    return result.stderr


# ── Close tells the truth, start makes sure ───────────────────────────────────────────────────

UNHEARD = {
    "group": "{ /bin/echo a; /bin/echo b; } > coords",
    "empty": ": > coords",
    "rename": "echo 1 > x.tmp; mv x.tmp coords",
}


# > What the kernel can't report at close (shell groups such as `{ …; } > file`, empty files,
# > renames) is reported at `start`,
def test_what_close_cannot_report_is_reported_at_start(mount: Mount, service: FakeService) -> None:
    service.fault("upload", refuse(403))
    for name, script in UNHEARD.items():
        mount.sh(f"mkdir executions/{name}; cd executions/{name}/input; {script}", check=False)
        until(lambda name=name: mount.out(f"cat executions/{name}/error"))  # type: ignore[misc]
        assert "Permission denied" in error_of(mount, START.format(name))
    assert service.count("start") == 0
    service.heal()
    for name in UNHEARD:
        mount.sh(START.format(name))
    assert [list(each.inputs) for each in service.executions.values()] == [["coords"]] * 3


# > An upload that failed at close is tried again by `start`, not before;
def test_what_failed_at_close_is_tried_again_by_start(job: Mount, service: FakeService) -> None:
    service.fault("upload", refuse(403))
    error_of(job, "cp /etc/hostname executions/j/input/coords")
    service.heal()
    job.sh("ls -l executions/j/input; cat executions/j/input/coords")
    assert service.count("upload") == 1
    job.sh(START.format("j"))
    assert service.only().inputs == {"coords": Path("/etc/hostname").read_bytes()}


# > which never runs on an input that is open, failed, withdrawn, torn or undeclared.
#
# > EINVAL | an input is undeclared, withdrawn or torn;
def test_start_never_runs_on_an_input_that_is_not_right(mount: Mount, service: FakeService) -> None:
    mount.sh("mkdir executions/{open,failed,withdrawn,torn,undeclared}; cd executions;"
             "echo 1 > withdrawn/input/coords; rm withdrawn/input/coords;"
             "echo 1 > undeclared/input/other")  # fmt: skip
    writers = [
        mount.spawn("tee", f"executions/{name}/input/coords", stdin=subprocess.PIPE)
        for name in ("open", "torn")
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("half")
        writer.stdin.flush()
    written = "cat executions/{open,torn}/input/coords"
    until(lambda: mount.sh(written, check=False).stdout == "half" * 2)
    writers[1].kill()
    writers[1].wait(10)
    service.fault("upload", refuse(403))
    mount.sh("cp /etc/hostname executions/failed/input/coords", check=False)
    until(lambda: "Invalid argument" in error_of(mount, START.format("torn")))
    for name in ("withdrawn", "undeclared"):
        assert "Invalid argument" in error_of(mount, START.format(name))
    assert "busy" in error_of(mount, START.format("open"))
    assert "Permission denied" in error_of(mount, START.format("failed"))
    assert service.count("start") == 0


# > open for writing, create, rename, truncate | only while pending;
#
# > | EACCES after the start; EBUSY during it
#
# > The call blocks until the service has answered;
def test_inputs_are_written_only_while_pending(job: Mount, service: FakeService) -> None:
    tries = (
        "import errno, os\n"
        "os.chdir('executions/j/input')\n"
        "def tell(call):\n"
        "    try: call(); print('ok')\n"
        "    except OSError as error: print(errno.errorcode[error.errno])\n"
        "tell(lambda: os.close(os.open('a.tmp', os.O_WRONLY)))\n"
        "tell(lambda: os.close(os.open('new.tmp', os.O_WRONLY | os.O_CREAT)))\n"
        "tell(lambda: os.rename('a.tmp', 'b.tmp'))\n"
        "tell(lambda: os.truncate('c.tmp', 1))\n"
    )
    files = "cd executions/j/input; rm -f *; touch a.tmp c.tmp"
    job.sh(files)
    assert job.python(tries).split() == ["ok"] * 4
    job.sh(files)
    release = threading.Event()
    service.fault("start", delayed(release))
    starting = job.spawn("bash", "-c", START.format("j"))
    until(lambda: service.count("start"))
    assert job.python(tries).split() == ["EBUSY"] * 4
    assert starting.poll() is None
    release.set()
    assert starting.wait(10) == 0
    assert job.python(tries).split() == ["EACCES"] * 4


# > `fsync` | succeeds; the service has the bytes only after the close
def test_fsync_uploads_nothing(job: Mount, service: FakeService) -> None:
    writer = job.spawn(
        "python3", "-c",
        "import os\n"
        "f = open('executions/j/input/coords', 'wb', buffering=0)\n"
        "f.write(b'x'); os.fsync(f.fileno()); print('synced', flush=True); input(); f.close()",
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert writer.stdout is not None
    assert writer.stdout.readline() == "synced\n"
    assert service.count("upload") == 0
    writer.communicate("\n", timeout=20)
    assert service.only().inputs == {"coords": b"x"}


# > the bits of a mode show under the mount's umask, so that `rsync -a` of a 640 file sees another
# > mode each time, and transfers nothing
def test_modes_are_shown_under_the_umask(job: Mount, service: FakeService) -> None:
    (job.root / "coords").write_text("1,2\n")
    (job.root / "coords").chmod(0o640)
    rsync = f"rsync -ai {job.root}/coords executions/j/input/"
    job.sh(rsync)
    until(lambda: service.only().inputs)
    assert job.out("stat -c %a executions/j/input/coords") == "600\n"
    changed = job.out(rsync)
    assert changed.split() == [".f...p.....", "coords"]
    assert service.count("upload") == 1


# > `mkdir`, so `cp -r folder input/`, `mv folder input/`, `rsync -a folder input/` | refused: say
# > `cp -r folder/. input/` | EACCES
def test_a_folder_of_inputs_is_copied_by_what_is_in_it(job: Mount, service: FakeService) -> None:
    folder = job.root / "folder"
    folder.mkdir()
    for name in ("coords", "model"):
        (folder / name).write_text(name)
    for command in ("cp -r", "mv", "rsync -a"):
        assert "Permission denied" in error_of(job, f"{command} {folder} executions/j/input/")
    job.sh(f"cp -r {folder}/. executions/j/input/")
    assert service.only().inputs == {"coords": b"coords", "model": b"model"}


IN_PLACE = (
    "import mmap, os\n"
    "fd = os.open('a.tmp', os.O_RDWR | os.O_CREAT | os.O_EXCL)\n"
    "os.write(fd, b'0123456789' * 1000)\n"
    "m = mmap.mmap(fd, 10000); m[5000:5003] = b'map'; m.flush(); m.close()\n"
    "os.ftruncate(fd, 7000); os.ftruncate(fd, 9000)\n"
    "end = os.open('a.tmp', os.O_WRONLY | os.O_APPEND)\n"
    "os.lseek(end, 0, 0); os.write(end, b'the end'); os.close(end)\n"
    "try: os.open('a.tmp', os.O_RDWR | os.O_CREAT | os.O_EXCL)\n"
    "except FileExistsError as error: print(error)\n"
    "print(os.fstat(fd).st_size, os.pread(fd, 20000, 0))"
)


# > a shared `mmap`, while somebody has the file open for writing only | refused | ENODEV
def test_who_only_writes_and_who_reads_through_the_page_cache_never_meet(job: Mount) -> None:
    job.sh("echo old > executions/j/input/coords")
    job.python(
        """
import errno, mmap, os
PATH = "executions/j/input/coords"
reader = os.open(PATH, os.O_RDONLY)
assert os.read(reader, 100) == b"old\\n"
writer = os.open(PATH, os.O_WRONLY)  # there is a reader with pages
os.pwrite(writer, b"new", 0)
assert os.pread(reader, 100, 0) == b"new\\n"
assert len(mmap.mmap(reader, 0, prot=mmap.PROT_READ)) == 4
os.close(writer), os.close(reader)
writer = os.open(PATH, os.O_WRONLY)
os.pwrite(writer, b"now", 0)
reader = os.open(PATH, os.O_RDONLY)
assert os.read(reader, 100) == b"now\\n"
os.pwrite(writer, b"NOW", 0)
assert os.pread(reader, 100, 0) == b"NOW\\n"
try:
    mmap.mmap(reader, 0, prot=mmap.PROT_READ)
except OSError as error:
    assert error.errno == errno.ENODEV
else:
    raise AssertionError("it was mapped")
"""
    )


# > `mmap`, `ftruncate`, `O_APPEND`, `O_EXCL` | as on a local disk
def test_files_are_changed_in_place_as_on_a_local_disk(job: Mount, root: Path) -> None:
    folder = root / "local"
    folder.mkdir()
    local = job.python(f"import os; os.chdir('{folder}')\n{IN_PLACE}")
    assert job.python(f"import os; os.chdir('executions/j/input')\n{IN_PLACE}") == local


# ── Executions ────────────────────────────────────────────────────────────────────────────────


# > save that a second `mkdir` or `rmdir` waits for the one in flight, 10 s at most.
#
# > one request, at most 10 s;
def test_a_second_mkdir_waits_for_the_first_and_no_longer(
    mount: Mount, service: FakeService
) -> None:
    assert Deadlines().create == 10  # 4 s here
    service.fault("create", hang(threading.Event(), 30), times=1)
    first = mount.spawn("mkdir", "executions/a")
    until(lambda: service.count("create"))
    second = mount.spawn("mkdir", "executions/b")
    assert first.wait(20) != 0
    assert second.wait(20) == 0
    assert service.count("create") == 2


# > EACCES the key
def test_mkdir_with_a_key_that_is_refused(mount: Mount, service: FakeService) -> None:
    for code in (401, 403):
        service.fault("create", refuse(code))
        assert "Permission denied" in error_of(mount, "mkdir executions/j")


# > `rmdir NAME` | terminates it, whatever it holds and in any state
def test_rmdir_terminates_in_any_state(mount: Mount, service: FakeService) -> None:
    mount.sh("mkdir executions/{pending,running,ended}; cd executions; echo 1 | tee {r,e}*/start")
    list(service.executions.values())[2].end(result=b"42")
    until(lambda: mount.out("cat executions/{ended,running}/status") == "ended\nrunning\n")
    mount.sh("rmdir executions/*")
    assert service.executions == {}
    assert mount.out("ls executions") == ""


# > Names and ids are kept in the state folder. They come back after a remount, a crash or a reboot.
def test_names_come_back_after_a_reboot(job: Mount, service: FakeService) -> None:
    """Of which nothing is left but the state folder."""
    before = job.out("cat executions/j/id")
    job.kill()
    subprocess.run(["fusermount3", "-uz", str(job.path)], check=True, timeout=20)
    for folder in ("run", "cache"):
        shutil.rmtree(job.root / folder)
        (job.root / folder).mkdir(mode=0o700)
    job.mount()
    assert job.out("ls executions; cat executions/j/id") == f"j\n{before}"


# > and an `ls -l` of a thousand known executions makes no request.
def test_a_listing_of_a_thousand_executions_makes_no_request(
    mount: Mount, service: FakeService
) -> None:
    mount.umount()
    (record,) = (mount.root / "state").rglob("names.sqlite")
    names = Names(record)
    for number in range(1000):
        id_ = f"exec_{number:016d}"
        names.add(ExecutionId(id_), f"job{number}", 1, {"id": id_, "status": "running"})
    names.close()
    mount.mount()
    before = len(service.requests)
    assert len(mount.out("ls -l executions").splitlines()) == 1001
    assert len(service.requests) == before
