"""What doctor says of folders and of mounts."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doctor.rig import doctor, needs_root
from tests.fakeservice import FakeService
from tests.mount.harness import Mount


def disk(options: str) -> str:
    """Lines that mount a filesystem in memory on the folder `disk`."""
    return f"mkdir -p disk && mount -t tmpfs {options} t disk"


def named(part: str, root: Path, folder: str = "disk") -> tuple[str, str]:
    return f"--{part}-dir", str(root / folder)


@needs_root
@pytest.mark.parametrize(
    ("setup", "state", "words"),
    [
        (disk("-o size=64k"), "problem", ["the disk is full", "make room"]),
        (disk("-o size=100m"), "warning", ["only 100 MB are free"]),
        (disk("-o size=1g,nr_inodes=20"), "problem", ["inodes are free"]),
        (disk("-o size=1g,nr_inodes=500"), "warning", ["inodes are free"]),
        (disk("-o ro"), "problem", ["read-only"]),
        (disk("-o size=1g"), "ok", ["disk"]),
    ],
)
def test_a_filesystem_with_little_room(
    root: Path, setup: str, state: str, words: list[str]
) -> None:
    places = [*named("state", root), *named("cache", root)]
    told = doctor(root, *places, setup=setup, check="state-folder,cache-folder")
    for part in ("state", "cache"):
        mend = [f"--{part}-dir"] if state != "ok" else []
        told.says(f"{part}-folder", state, *words, *mend)


@needs_root
@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ("mkdir disk", ["it belongs to user 0"]),
        ("mkdir up && ln -s up/none disk", ["disk"]),
        (f"mkdir disk && chown {65534} disk && chmod 500 disk", ["may not write", "0500"]),
    ],
)
def test_a_folder_that_cannot_be_used(root: Path, setup: str, words: list[str]) -> None:
    told = doctor(root, *named("state", root), setup=setup, user=True, check="state-folder")
    told.says("state-folder", "problem", *words)


@needs_root
def test_a_folder_that_cannot_be_made(root: Path) -> None:
    told = doctor(root, *named("state", root, "new"), user=True, check="state-folder")
    told.says("state-folder", "problem", f"{root}/new (to be made in {root})", "may not write")


def test_a_folder_on_the_network(root: Path) -> None:
    (root / "disk").mkdir()
    program = [sys.executable, str(Path(__file__).with_name("networked.py")), str(root / "disk")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "mounted\n"
            told = doctor(root, *named("state", root), check="state-folder")
            told.says("state-folder", "warning", "fuse.sshfs", "locks", "a disk of this machine")
        finally:
            subprocess.run(["fusermount3", "-u", str(root / "disk")], check=True)


def test_the_variables_of_a_mount_count_too(root: Path) -> None:
    (root / "file").touch()
    told = doctor(root, env={"PIFOPFS_STATE_DIR": str(root / "file")}, check="state-folder")
    told.says("state-folder", "problem", f"{root}/file", "not a folder")


# ── The runtime folder ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("x" * 100, ["too long for the path of a socket", "107"]),
        ("gone", ["which is no folder", "enable-linger"]),
    ],
)
def test_a_runtime_folder_that_cannot_be_used(root: Path, folder: str, words: list[str]) -> None:
    if folder != "gone":
        (root / folder).mkdir(mode=0o700)
    env = {"XDG_RUNTIME_DIR": str(root / folder)}
    told = doctor(root, env=env, check="runtime-folder")
    told.says("runtime-folder", "problem", *words, "XDG_RUNTIME_DIR")
    assert not (root / "gone").exists()


@needs_root
def test_a_runtime_folder_of_another_user(root: Path) -> None:
    told = doctor(root, setup="mkdir run/pifopfs", user=True, check="runtime-folder")
    told.says("runtime-folder", "problem", "it belongs to user 0")


# ── Mounts ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def mount(root: Path, service: FakeService) -> Iterator[Mount]:
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint) as mounted:
        yield mounted


def about(told: list[dict[str, str]], mount: Mount) -> list[dict[str, str]]:
    """The findings on one mount: there may be those of other tests."""
    return [each for each in told if str(mount.path) in each["text"]]


def test_a_live_mount_is_well(mount: Mount) -> None:
    assert about(doctor(mount.root, check="mounts").all("mounts"), mount) == []


def test_a_dead_mount_and_the_command_that_clears_it(mount: Mount) -> None:
    mount.kill()
    told = doctor(mount.root, check="mounts")
    (finding,) = about(told.all("mounts"), mount)
    assert told.code == 9
    assert finding["state"] == "problem"
    assert f"joe/tsp on {mount.path} is dead" in finding["text"]
    command = shlex.split(finding["mend"].partition(";")[0])
    assert mount.pifopfs(*command[1:]).returncode == 0
    assert about(doctor(mount.root, check="mounts").all("mounts"), mount) == []


def test_what_a_killed_mount_has_left(mount: Mount) -> None:
    mount.kill()
    subprocess.run(["fusermount3", "-u", str(mount.path)], check=True)
    (finding,) = about(doctor(mount.root, check="mounts").all("mounts"), mount)
    assert finding["state"] == "warning"
    assert "has ended without a word" in finding["text"]
    assert str(mount.path) in finding["text"]
    command = finding["mend"].partition("to forget it, ")[2]
    subprocess.run(["sh", "-ec", command], check=True)
    assert about(doctor(mount.root, check="mounts").all("mounts"), mount) == []


def test_a_mount_that_hangs_keeps_nobody_waiting(mount: Mount) -> None:
    mount.signal(signal.SIGSTOP)
    try:
        (finding,) = about(doctor(mount.root, check="mounts").all("mounts"), mount)
    finally:
        mount.signal(signal.SIGCONT)
    assert finding["state"] == "problem"
    assert "does not answer" in finding["text"]
    assert "umount --force" in finding["mend"]


def test_a_mountpoint_stands_for_its_function(mount: Mount, service: FakeService) -> None:
    told = doctor(mount.root, str(mount.path), check="function,service")
    told.says("function", "ok", "joe/tsp is there")
    told.says("service", "ok", service.endpoint)
    assert told.code == 0


def test_a_mountpoint_that_is_dead_is_examined_all_the_same(
    mount: Mount, service: FakeService
) -> None:
    mount.kill()
    told = doctor(mount.root, "mnt", "--endpoint", service.endpoint, check="function")
    told.says("function", "ok", "joe/tsp is there")


def test_a_mountpoint_of_a_folder_stands_for_it(root: Path) -> None:
    with Mount(root, "example:tsp") as mounted:
        told = doctor(root, str(mounted.path), check="function-file,configuration")
        told.says("function-file", "ok", "examples/tsp/function.json")
        told.says("configuration", "ok", "examples/tsp")


def test_a_mountpoint_whose_record_is_gone(mount: Mount) -> None:
    (record,) = (mount.root / "run" / "pifopfs" / "mounts").glob("*.json")
    kept = record.read_text()
    record.unlink()
    told = doctor(mount.root, str(mount.path), check="configuration")
    told.says("configuration", "warning", "no record is left", "name the function")
    record.write_text(kept)


def test_regression_what_is_mounted_where_a_mount_of_ours_has_died_was_trusted(
    mount: Mount, service: FakeService
) -> None:
    """With the key: it said at which endpoint that is to be shown."""
    (record,) = (mount.root / "run" / "pifopfs" / "mounts").glob("*.json")
    kept = record.read_text()
    record.write_text(json.dumps(json.loads(kept) | {"started": 1}))
    before = len(service.requests)
    doctor(mount.root, str(mount.path), check="service")
    assert service.requests[before:] == []
    record.write_text(kept)
    doctor(mount.root, str(mount.path), check="service")
    assert service.requests[before:] != []


def test_nothing_is_made(root: Path) -> None:
    def tree() -> list[str]:
        return sorted(str(path) for path in root.rglob("*"))

    told = doctor(root)
    before = tree()
    assert doctor(root, "example:tsp").code == told.code
    assert tree() == before
    assert [path for path in before if "pifopfs" in path] == []
    assert json.dumps(told.document).count("to be made in") >= 3
