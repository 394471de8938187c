"""Bugs that were found by attacking the mount, each by the name of what went wrong."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from pifopfs.machine import start_time
from tests.fakeservice import FakeService, Fault, Handler, delayed, hang, refuse, reset, until
from tests.mount.harness import PIFOPFS, Mount

COORDS = "executions/j/input/coords"
ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="a small disk is mounted as root")


def waits_for_us(pid: int) -> bool:
    """Whether a process sleeps in the kernel for an answer of the filesystem."""
    try:
        return "request_wait_answer" in Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return False


def then_refuse(release: threading.Event) -> Fault:
    """Take an upload, answer it 400 once released."""

    def fault(handler: Handler) -> None:
        handler._body()
        release.wait(20)
        handler.fail(400, "told to")

    return fault


# ── Inputs ────────────────────────────────────────────────────────────────────────────────────


def test_a_retry_sent_the_bytes_of_another_file(job: Mount, service: FakeService) -> None:
    """Uploads read /proc/self/fd/N, and N was another input by the second try."""
    job.sh(f"mkdir executions/k; echo OTHER > {COORDS.replace('/j/', '/k/')}")
    service.fault("upload", refuse(403))
    job.sh(f"cp /etc/hostname {COORDS}; echo GOOD > {COORDS}", check=False)
    service.heal()
    script = (
        "import sys\n"
        f"held = open('{COORDS}'); print('open', flush=True); input()\n"
        "held.close(); held = open('executions/k/input/coords'); print('swapped', flush=True)\n"
        "input()"
    )
    reader = job.spawn("python3", "-c", script, stdin=subprocess.PIPE)
    assert reader.stdout is not None
    assert reader.stdin is not None
    assert reader.stdout.readline() == "open\n"

    def swap(handler: Handler) -> None:
        assert reader.stdin is not None
        assert reader.stdout is not None
        handler._body()
        print(file=reader.stdin, flush=True)
        assert reader.stdout.readline() == "swapped\n"
        handler.fail(503, "try again")

    service.fault("upload", swap, times=1)
    job.sh("echo 1 > executions/j/start")
    assert next(iter(service.executions.values())).inputs == {"coords": b"GOOD\n"}


# > One upload at a time goes to a name: a file that is removed, replaced or renamed while it is
# > uploaded never overwrites its successor.
@pytest.mark.parametrize(
    "replace",
    [f"rm {COORDS}; cp $M/../new {COORDS}", f"cp $M/../new {COORDS}.tmp; mv {COORDS}.tmp {COORDS}"],
)
def test_an_older_upload_of_a_name_overwrote_the_newer_one(
    job: Mount, service: FakeService, replace: str
) -> None:
    (job.root / "old").write_text("OLD")
    (job.root / "new").write_text("NEW")
    release = threading.Event()
    service.fault("upload", delayed(release), times=1)
    old = job.spawn("cp", str(job.root / "old"), COORDS)
    until(lambda: service.count("upload") == 1)
    new = job.spawn("bash", "-c", f"M={job.path}; {replace}")
    until(lambda: job.sh(f"cat {COORDS}", check=False).stdout == "NEW")
    release.set()
    assert new.wait(20) == 0
    old.wait(20)
    job.sh("echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": b"NEW"}


def test_releases_that_waited_for_their_upload_stalled_the_mount(
    job: Mount, service: FakeService
) -> None:
    """The kernel stops sending releases, and cached reads, after a dozen without an answer."""
    release = threading.Event()

    def hang_on_empty(handler: Handler) -> None:
        if handler.headers["Content-Length"] == "0":
            release.wait(30)
            reset(handler)
        else:
            found = re.search(r"executions/([^/]+)/input/([^/?]+)", handler.path)
            assert found is not None
            handler._upload(*found.groups())

    job.sh("mkdir executions/e{1..14}; echo local > executions/j/input/note.tmp")
    service.fault("upload", hang_on_empty)
    job.sh("for n in {1..14}; do : > executions/e$n/input/coords; done")
    until(lambda: service.count("upload") >= 14)
    job.sh(f"cat executions/j/input/note.tmp; cp /etc/hostname {COORDS}", timeout=10)
    job.sh("echo 1 > executions/j/start", timeout=10)
    release.set()


# > an open of a file that was removed or replaced since it was looked up | the kernel looks the
# > name up again | ESTALE where it can't
def test_an_open_of_a_removed_input_wrote_into_its_successor(
    job: Mount, service: FakeService
) -> None:
    out = job.python(
        "import os\n"
        f"name = '{COORDS}'\n"
        "open(name, 'w').write('OLD')\n"
        "old = os.open(name, os.O_PATH)\n"
        "os.unlink(name)\n"
        "with open(name, 'w') as f: f.write('NEWBYTES')\n"
        "for flags in (os.O_WRONLY, os.O_RDONLY):\n"
        "    try: os.open(f'/proc/self/fd/{old}', flags)\n"
        "    except OSError as e: print(e.strerror)"
    )
    assert out == "Stale file handle\n" * 2
    job.sh("echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": b"NEWBYTES"}


def test_what_the_service_knows_was_written_to_the_name_after_a_rename(
    job: Mount, service: FakeService
) -> None:
    release = threading.Event()
    service.fault("upload", then_refuse(release), times=1)
    copying = job.spawn("cp", "/etc/hostname", COORDS)
    until(lambda: service.count("upload") == 1)
    job.sh(f"mv {COORDS} executions/j/input/model")
    release.set()
    copying.wait(20)
    job.sh("echo 1 > executions/j/start")  # coords is not withdrawn: the service never had it
    assert list(service.only().inputs) == ["model"]


def test_a_removed_input_that_the_service_has_was_run_on_after_a_refused_rename(
    job: Mount, service: FakeService
) -> None:
    job.sh("echo OLD > executions/j/input/model")
    until(lambda: service.only().inputs)
    release = threading.Event()
    service.fault("upload", then_refuse(release), times=1)
    service.fault("upload", refuse(400), times=1)
    copying = job.spawn("cp", "/etc/hostname", COORDS)
    until(lambda: service.count("upload") == 2)
    job.sh(f"mv {COORDS} executions/j/input/model")
    release.set()
    copying.wait(20)
    until(lambda: service.count("upload") == 3)
    job.sh(f"rm executions/j/input/model; echo new > {COORDS}")
    assert "Invalid" in job.sh("echo 1 > executions/j/start", check=False).stderr
    assert "model" in job.out("cat executions/j/error")


# > EINVAL at the close of a writer that only adds to it
def test_appending_to_a_torn_input_made_it_whole(job: Mount, service: FakeService) -> None:
    process = job.spawn("tee", COORDS, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write("half")
    process.stdin.flush()
    until(lambda: job.sh(f"cat {COORDS}", check=False).stdout == "half")
    process.kill()
    process.wait(10)
    until(lambda: "Invalid" in job.sh("echo 1 > executions/j/start", check=False).stderr)
    appended = job.sh(f"cat /etc/hostname >> {COORDS}", check=False)
    assert "Invalid argument" in appended.stderr
    assert "Invalid" in job.sh("echo 1 > executions/j/start", check=False).stderr
    assert service.count("upload") == 0
    job.sh(f"echo whole > {COORDS}; echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": b"whole\n"}


def test_an_input_made_by_a_reader_was_torn_after_a_remount(
    job: Mount, service: FakeService
) -> None:
    job.python(f"import os; os.close(os.open('{COORDS}', os.O_RDONLY | os.O_CREAT))")
    job.umount()
    job.mount()
    job.sh("echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": b""}


def test_nothing_could_be_made_in_an_input_folder_that_was_removed_while_open(
    job: Mount, service: FakeService
) -> None:
    job.sh(
        "exec 3< executions/j/input; rmdir executions/j/input executions/j/output;"
        f" cp /etc/hostname {COORDS}; ls executions/j/input executions/j/output"
    )
    assert list(service.only().inputs) == ["coords"]


@ROOT_ONLY
def test_a_full_disk_left_an_input_that_hid_all_others(service: FakeService) -> None:
    root = service.socket.parent
    state = root / "small"
    state.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "nr_inodes=60,size=4m", "tmpfs", str(state)], check=True
    )
    try:
        args = ("joe/tsp", "--endpoint", service.endpoint, "--state-dir", str(state))
        with Mount(root, *args) as mount:
            mount.sh("mkdir executions/j; echo 1 > executions/j/input/model")
            fill = f"i=0; while touch {state}/f$i 2> /dev/null; do i=$((i+1)); done"
            mount.sh(fill)
            assert "No space" in mount.sh(f"touch {COORDS}", check=False).stderr
            assert mount.out("ls executions/j/input") == "model\n"
            mount.sh(f"rm {state}/f*; touch {COORDS}; ls -l executions/j/input; rmdir executions/j")
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)


# ── Callers ───────────────────────────────────────────────────────────────────────────────────


def test_a_process_whose_name_is_not_utf8_ended_the_mount(job: Mount, service: FakeService) -> None:
    for tool in ("cat", "tee"):
        target = job.root / f"{tool}aaaaaaaaaaaü"  # the kernel cuts names in mid-character
        target.write_bytes(Path(f"/usr/bin/{tool}").read_bytes())
        target.chmod(0o755)
    tee = job.spawn(str(job.root / "teeaaaaaaaaaaaü"), COORDS)
    assert tee.wait(20) == 0
    job.sh(f"[ -e {COORDS} ]; echo 1 > executions/j/start")
    cat = job.spawn(str(job.root / "cataaaaaaaaaaaü"), "executions/j/wait")
    until(lambda: waits_for_us(cat.pid))
    assert job.pifopfs("umount", str(job.path)).returncode == 7
    cat.send_signal(signal.SIGTERM)
    assert cat.wait(10) == -signal.SIGTERM
    assert job.out("cat executions/j/status") == "running\n"


def test_a_client_that_left_the_control_socket_early_ended_the_mount(job: Mount) -> None:
    (path,) = (job.root / "run" / "pifopfs" / "mounts").glob("*.sock")
    for line in [b'{"forget": "nosuch"}\n', b"nonsense\n", b"[" * 50_000 + b"\n", b""] * 5:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(line)
    assert job.pifopfs("forget", f"{job.path}/executions/nosuch").returncode == 6
    assert job.out("ls executions") == "j\n"


def test_a_blocked_reader_whose_opener_was_gone_could_not_be_killed(job: Mount) -> None:
    job.sh("echo 1 > executions/j/start")
    child = "(sleep 0.2; exec cat <&3) > /dev/null 2>&1"
    pid = int(job.out(f"exec 3< executions/j/wait; {child} & echo $!", timeout=10))
    until(lambda: waits_for_us(pid))
    os.kill(pid, signal.SIGKILL)
    until(lambda: start_time(pid) is None, deadline=5)


def test_a_file_opened_by_a_thread_that_has_ended_could_not_be_interrupted(job: Mount) -> None:
    job.sh("echo 1 > executions/j/start")
    process = job.spawn(
        "python3", "-c",
        "import os, threading\n"
        "files = []\n"
        "def open_(): files.append(os.open('executions/j/wait', os.O_RDONLY))\n"
        "thread = threading.Thread(target=open_); thread.start(); thread.join()\n"
        "os.read(files[0], 10)",
    )  # fmt: skip
    until(lambda: waits_for_us(process.pid))
    process.kill()
    assert process.wait(5) == -signal.SIGKILL


# ── Logs, wait, listings ──────────────────────────────────────────────────────────────────────


def test_a_log_answered_before_the_end_and_taken_after_it_stayed_cut(
    job: Mount, service: FakeService
) -> None:
    job.sh("echo 1 > executions/j/start")
    execution = service.only()
    execution.log = b"line1\n"
    stale = execution.document() | {"log": "line1\n", "log_offset": 0}
    release = threading.Event()

    def late(handler: Handler) -> None:
        release.wait(20)
        handler.json(stale)

    service.fault("log", late, times=1)
    early = job.spawn("cat", "executions/j/log")
    until(lambda: service.count("log") == 1)
    execution.log += b"line2\n"
    execution.end()
    until(lambda: job.out("cat executions/j/status") == "ended\n")
    late_reader = job.spawn("cat", "executions/j/log")
    release.set()
    for reader in (early, late_reader):
        assert reader.communicate(timeout=20)[0] == "line1\nline2\n"


def test_every_log_that_was_looked_at_cost_a_descriptor(job: Mount, service: FakeService) -> None:
    job.sh("mkdir executions/e{1..80}")
    for execution in service.executions.values():
        execution.log = execution.id.encode()
    limit = ["prlimit", f"--pid={job.pid}", "--nofile=60:60"]
    subprocess.run(limit, check=True)
    seen = job.out("cat executions/*/log")
    assert all(id_ in seen for id_ in service.executions)
    assert len(list(Path(f"/proc/{job.pid}/fd").iterdir())) < 50


def test_select_without_a_timeout_never_saw_the_end(job: Mount, service: FakeService) -> None:
    job.sh("echo 1 > executions/j/start")
    process = job.spawn(
        "python3", "-c",
        "import select, time\n"
        "f = open('executions/j/wait')\n"
        "print(select.select([f], [], [], 0)[0], flush=True)\n"
        "while not select.select([f], [], [], 0)[0]: time.sleep(0.05)\n"
        "print(f.read(), end='')",
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "[]\n"
    service.only().end()
    assert process.communicate(timeout=20)[0] == "normal\n"


def test_select_never_woke_after_an_outage_that_was_too_long(service: FakeService) -> None:
    args = ("joe/tsp", "--endpoint", service.endpoint)
    with Mount(service.socket.parent, *args, env={"PIFOPFS_WAIT_OUTAGE": "0.5"}) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        process = mount.spawn(
            "python3", "-c",
            "import select\n"
            "f = open('executions/j/wait'); print('open', flush=True)\n"
            "select.select([f], [], [])\n"
            "try: f.read()\n"
            "except OSError as e: print(e.strerror)",
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        service.down()
        assert process.communicate(timeout=30)[0] in ("No route to host\n", "Connection refused\n")
        service.up()


# > then what was produced, save what no file can be named after.
def test_outputs_whose_ids_are_no_names_hid_the_others(job: Mount, service: FakeService) -> None:
    job.expected.append("pifopfs.tree.outputs: outputs of .* that no file can be named after")
    job.sh("echo 1 > executions/j/start")
    long = "界" * 80
    service.only().end(**{"a/b": b"", "": b"", "..": b"", "\ud800": b"", long: b"long", "r": b"42"})
    until(lambda: job.out("cat executions/j/status") == "ended\n")
    assert job.out("ls executions/j/output").split() == sorted(["r", long])
    assert job.out(f"cat executions/j/output/r executions/j/output/{long}") == "42long"


# > ETIMEDOUT where the service has not answered for 3 s (`PIFOPFS_PATIENCE`)
def test_an_id_from_elsewhere_and_a_hanging_service_blocked_the_folder(
    service: FakeService,
) -> None:
    args = ("joe/tsp", "--endpoint", service.endpoint)
    env = {"PIFOPFS_PATIENCE": "0.5", "PIFOPFS_STALL": "30", "PIFOPFS_TOTAL": "60"}
    with Mount(service.socket.parent, *args, env=env) as mount:
        mount.sh("mkdir executions/j")
        release = threading.Event()
        service.fault("status", hang(release))
        looking = mount.spawn("stat", "executions/exec_ELSEWHERE")
        until(lambda: service.count("status"))
        mount.sh("mkdir executions/k; rmdir executions/k; ls executions", timeout=10)
        _, stderr = looking.communicate(timeout=10)
        assert "timed out" in stderr
        release.set()


# > or has not answered for 3 s (`PIFOPFS_PATIENCE`), the size is 0 until the file is open.
def test_listing_outputs_of_a_hanging_service_took_its_time_for_each(
    service: FakeService,
) -> None:
    args = ("joe/tsp", "--endpoint", service.endpoint)
    with Mount(service.socket.parent, *args, env={"PIFOPFS_PATIENCE": "0.3"}) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        service.only().end(**{f"o{n}": b"x" for n in range(6)})
        until(lambda: mount.out("cat executions/j/status") == "ended\n")
        release = threading.Event()
        service.fault("size", hang(release))
        for _ in range(5):  # asked once each, with the patience of a look
            mount.sh("ls -l executions/j/output", timeout=10)
        assert service.count("size") == 6
        service.heal()
        release.set()
        assert mount.out("cat executions/j/output/o1; stat -c %s executions/j/output/o1") == "x1\n"


# ── Mounting ──────────────────────────────────────────────────────────────────────────────────


def test_two_mounts_at_once_stacked_on_one_mountpoint(root: Path, service: FakeService) -> None:
    mount = Mount(root, "joe/tsp", "--endpoint", service.endpoint)
    try:
        for attempt in range(3):
            processes = [
                subprocess.Popen(
                    [*PIFOPFS, "mount", mount.target, str(mount.path), *mount.args,
                     "--state-dir", str(root / f"s{attempt}-{n}")],
                    env=mount.env, stderr=subprocess.PIPE, text=True,
                )
                for n in range(2)
            ]  # fmt: skip
            results = [(p.communicate(timeout=40)[1], p.returncode) for p in processes]
            assert sorted(code for _, code in results) == [0, 6], results
            mounts = Path("/proc/self/mountinfo").read_text().count(f" {mount.path} ")
            assert mounts == 1
            mount.umount()
    finally:
        mount.clean_up()


def test_a_mount_through_a_link_could_not_be_unmounted_through_it(
    root: Path, service: FakeService
) -> None:
    mount = Mount(root, "joe/tsp", "--endpoint", service.endpoint)
    (root / "link").symlink_to("mnt")
    with mount:
        mount.sh("mkdir executions/j")
        assert mount.pifopfs("forget", f"{root}/link/executions/j").returncode == 0
        assert mount.pifopfs("umount", str(root / "link")).returncode == 0
        assert not mount.mounted()
        assert mount.pifopfs("mount", mount.target, str(root / "link"), *mount.args).returncode == 0
        mount.kill()
        assert mount.pifopfs("umount", str(root / "link")).returncode == 0
        assert not mount.mounted()


@pytest.mark.parametrize("option", ["--cache-dir", "--state-dir"])
def test_a_cache_below_the_mountpoint_made_the_daemon_wait_for_itself(
    root: Path, service: FakeService, option: str
) -> None:
    mount = Mount(root, "joe/tsp", "--endpoint", service.endpoint)
    args = (*mount.args, option, str(mount.path / "own"))
    result = mount.pifopfs("mount", mount.target, str(mount.path), *args)
    assert result.returncode in (2, 6)
    assert len(result.stderr.splitlines()) == 1
    assert not mount.mounted()


def test_a_mount_had_no_more_descriptors_than_a_shell(root: Path, service: FakeService) -> None:
    mount = Mount(root, "joe/tsp", "--endpoint", service.endpoint)
    command = [*PIFOPFS, "mount", mount.target, str(mount.path), *mount.args]
    try:
        limited = ["prlimit", "--nofile=64:4096", *command]
        subprocess.run(limited, env=mount.env, check=True, timeout=40)
        limits = Path(f"/proc/{mount.pid}/limits").read_text()
        (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
        assert line.split()[3:5] == ["4096", "4096"]
    finally:
        mount.clean_up()


def test_a_function_whose_name_is_not_ascii_could_not_be_mounted(
    root: Path, service: FakeService
) -> None:
    with Mount(root, "joe/tür,2", "--endpoint", service.endpoint) as mount:
        mount.sh("mkdir executions/j; cat function.json executions/j/status")
        table = Path("/proc/mounts").read_text(errors="replace")
        (line,) = [line for line in table.splitlines() if f" {mount.path} " in line]
        assert "fuse.pifopfs" in line
