"""An ordinary user on the mount: the kernel checks modes, as it does not for root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakeservice import FakeService, until
from tests.mount.harness import Mount

USER = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")


@pytest.fixture
def theirs(root: Path, service: FakeService) -> Iterator[Mount]:
    """A mount whose files belong to an ordinary user, with an execution `j`."""
    root.chmod(0o711)
    (root / "home").mkdir()
    os.chown(root / "home", USER, USER)
    options = f"allow_other,uid={USER},gid={USER}"
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, "-o", options) as mount:
        as_user(mount, "mkdir executions/j")
        yield mount


def as_user(mount: Mount, script: str, *, fails: bool = False) -> str:
    """Run a script in the mount as the user; what it prints, errors included."""
    result = subprocess.run(
        ["bash", "-c", f"cd {mount.path}; {script}"],
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": str(mount.root / "home"), "LC_ALL": "C"},
        user=USER,
        group=USER,
        extra_groups=[],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    assert (result.returncode != 0) == fails, result.stdout
    return result.stdout


def ended(mount: Mount, service: FakeService, **outputs: bytes) -> None:
    as_user(mount, "echo 1 > executions/j/input/coords; echo 1 > executions/j/start")
    service.only().end(**outputs)
    until(lambda: as_user(mount, "cat executions/j/status") == "ended\n")


def test_the_whole_job(theirs: Mount, service: FakeService) -> None:
    ended(theirs, service, result=b"42\n")
    assert as_user(theirs, "cat executions/j/wait executions/j/output/result") == "normal\n42\n"
    as_user(theirs, "rmdir executions/j")
    assert service.executions == {}


# > Directories can be written, so that `rm -r` reaches the mount.
@pytest.mark.parametrize("command", ["rm -rf executions/j", "rm -r executions/j < /dev/null",
                                     "find executions/j -delete"])  # fmt: skip
def test_regression_rm_r_terminates_an_execution_that_has_outputs(
    theirs: Mount, service: FakeService, command: str
) -> None:
    """The modes of input and output kept the kernel from asking us to unlink anything."""
    ended(theirs, service, result=b"42\n")
    as_user(theirs, f"ls executions/j/output; {command}")
    assert service.executions == {}


# > `cp` gives a new copy the mode of its source, and a read-only copy would make the next `cp`
# > over it fail.
@pytest.mark.parametrize("file", ["output/result", "log", "status.json"])
def test_regression_a_copy_can_be_copied_over_again(
    theirs: Mount, service: FakeService, file: str
) -> None:
    """The copy had the mode of its source, 0400, and the next cp over it failed."""
    ended(theirs, service, result=b"42\n")
    for _ in range(2):
        as_user(theirs, f"cp executions/j/{file} $HOME/copy")


# > Outputs, `log` and `status.json` show a write bit, though opening them for writing is
# > EACCES:
def test_what_cannot_be_written_is_refused_all_the_same(
    theirs: Mount, service: FakeService
) -> None:
    ended(theirs, service, result=b"42\n")
    for file in ["output/result", "output/new", "log", "status.json", "status", "input/coords",
                 "input/model"]:  # fmt: skip
        out = as_user(theirs, f"echo x > executions/j/{file}", fails=True)
        assert "Permission denied" in out
    assert as_user(theirs, "stat -c %a executions/j/input/coords") == "400\n"
    for file in ["start", "stop"]:
        assert "Permission denied" in as_user(theirs, f"cat executions/j/{file}", fails=True)
    as_user(theirs, "rm -f executions/j/output/result executions/j/input/coords")
    assert as_user(theirs, "cat executions/j/output/result") == "42\n"


def test_other_users_are_kept_out_by_the_umask(theirs: Mount) -> None:
    result = subprocess.run(
        ["cat", f"{theirs.path}/function.json", f"{theirs.path}/executions/j/status"],
        user=USER - 1,
        group=USER - 1,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert result.stderr.count("Permission denied") == 2
