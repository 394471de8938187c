"""The package for Debian, in a system of its own: installed, used, removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.packaging.conftest import Built
from tests.packaging.system import System

pytestmark = pytest.mark.timeout(600)  # the first one builds

EXAMPLES = "/usr/lib/pifopfs/lib/python3*/site-packages/pifopfs/examples"

JOB = f"""
set -eu
mkdir -p /tmp/tsp
$MOUNT
mkdir /tmp/tsp/executions/job1
cp {EXAMPLES}/tsp/berlin52.csv /tmp/tsp/executions/job1/input/coords
echo 1 > /tmp/tsp/executions/job1/start
cat /tmp/tsp/executions/job1/wait
cat /tmp/tsp/executions/job1/output/result
rmdir /tmp/tsp/executions/job1
"""

FILES = "find / -xdev -not -path '/var/cache/man/*' | sort"
"""man keeps what it has shown."""


@pytest.fixture(scope="module")
def installed(system: System, built: Built) -> Iterator[System]:
    system.path("/tmp/pifopfs.deb").write_bytes(built.deb.read_bytes())
    system.run(f"{FILES} > /tmp/before")
    system.run("dpkg --install /tmp/pifopfs.deb")
    yield system
    system.run("umount -l /tmp/tsp", check=False)


def test_lintian_finds_nothing(built: Built, tmp_path: Path) -> None:
    """Errors nowhere; warnings only in the libraries, which are as their makers publish them."""
    command = ["lintian", "--allow-root", "--fail-on", "error", str(built.deb)]
    result = subprocess.run(
        command,
        env=os.environ | {"TMPDIR": str(tmp_path)},  # it leaves files there
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    told = [line for line in result.stdout.splitlines() if "/site-packages/" not in line]
    assert (result.returncode, told) == (0, []), result.stdout


def test_it_needs_what_debian_has(installed: System) -> None:
    status = installed.run("dpkg-query -W -f '${Status}|${Depends}' pifopfs").stdout
    assert status.startswith("install ok installed|")
    for package in (
        "fuse3",
        "bubblewrap (>= 0.8)",
        "libfuse3-3",
        "python3 (>= 3.",
        "python3 (<< 3.",
    ):
        assert package in status
    missing = installed.run("ldd /usr/lib/pifopfs/lib/python3*/site-packages/pyfuse3/*.so").stdout
    assert "not found" not in missing


def test_the_main_job(installed: System) -> None:
    mount = "pifopfs mount example:tsp /tmp/tsp"
    out = installed.run(JOB.replace("$MOUNT", mount)).stdout
    assert out.startswith("normal\n")
    assert '"length": ' in out
    installed.run("pifopfs umount --stop-jobs /tmp/tsp")


def test_the_main_job_with_mount_of_the_system(installed: System) -> None:
    mount = "mount -t fuse.pifopfs example:tsp /tmp/tsp -o noatime,log-level=debug"
    out = installed.run(JOB.replace("$MOUNT", mount)).stdout
    assert out.startswith("normal\n")
    installed.run("umount /tmp/tsp")


def test_manual_pages(installed: System) -> None:
    assert "PIFOPFS(1)" in installed.run("man pifopfs").stdout
    assert "pifopfs mount [OPTIONS] FUNCTION" in installed.run("man pifopfs-mount").stdout
    assert "fstab" in installed.run("man 8 mount.fuse.pifopfs").stdout
    assert "pifopfs-umount" in installed.run("man -k pifopfs").stdout


def test_units_of_systemd_call_what_is_there(installed: System) -> None:
    listed = "dpkg -L pifopfs | grep -E '^/usr/lib/systemd/(system|user)/pifopfs.*service$'"
    units = installed.run(listed).stdout.split()
    assert len(units) == 4
    for line in installed.run(f"grep -h ^ExecStart= {' '.join(units)}").stdout.splitlines():
        installed.run(f"test -x {line.removeprefix('ExecStart=').split()[0]}")


def test_nothing_is_started_before_the_administrator_says_so(installed: System) -> None:
    assert installed.run("find /etc/systemd -name '*pifopfs*'").stdout == ""


LIBRARY = "/usr/lib/*/libfuse3.so.3*"
HELPER = "/usr/bin/fusermount3"
BINDING = "/usr/lib/pifopfs/lib/python3*/site-packages/pyfuse3"


@pytest.fixture
def hidden(installed: System) -> Iterator[Callable[[str], None]]:
    """Takes files away, until the end of the test."""
    places: list[str] = []

    def hide(pattern: str) -> None:
        for path in installed.run(f"ls -d {pattern}").stdout.split():
            installed.run(f"mv {path} {path}.hidden")
            places.append(path)

    yield hide
    for path in places:
        installed.run(f"mv {path}.hidden {path}")


def test_a_missing_library_of_fuse_is_named_with_the_packages_that_have_it(
    installed: System, hidden: Callable[[str], None]
) -> None:
    hidden(LIBRARY)
    result = installed.run("mkdir -p /tmp/m; pifopfs mount example:tsp /tmp/m", check=False)
    assert result.returncode == 8
    (line,) = result.stdout.splitlines()
    assert line.startswith("pifopfs: libfuse3.so.3: cannot open shared object file")
    for command in ("apt-get install fuse3", "dnf install fuse3", "pacman -S fuse3"):
        assert command in line
    installed.run("pifopfs --help; pifopfs completion bash; pifopfs serve --help")  # need none


def test_a_missing_fusermount3_is_named_with_its_package(
    installed: System, hidden: Callable[[str], None]
) -> None:
    hidden(HELPER)
    installed.run(
        "mkdir -p /tmp/home/m /tmp/home/r; chown -R nobody /tmp/home; chmod 666 /dev/fuse"
    )
    user = "setpriv --reuid nobody --clear-groups env HOME=/tmp/home XDG_RUNTIME_DIR=/tmp/home/r"
    result = installed.run(f"{user} pifopfs mount example:tsp /tmp/home/m", check=False)
    assert result.returncode == 8
    last = result.stdout.splitlines()[-1]
    assert last.startswith("pifopfs: fusermount3 is not installed. Install FUSE 3: apt-get install")


def test_a_missing_python_package_is_named(
    installed: System, hidden: Callable[[str], None]
) -> None:
    hidden(BINDING)
    result = installed.run("mkdir -p /tmp/m; pifopfs mount example:tsp /tmp/m", check=False)
    assert result.returncode == 8
    message = "pifopfs: the Python package pyfuse3 is not here. Install pifopfs anew: "
    assert result.stdout.startswith(message)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_find_their_completions(installed: System, shell: str) -> None:
    """Whether they then work is the concern of test_completion."""
    where = {
        "bash": "bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader pifopfs;"
        " complete -p pifopfs'",
        "zsh": "zsh -fc 'autoload -U compinit; compinit -D; echo $_comps[pifopfs]'",
        "fish": "fish -c 'complete -C \"pifopfs um\"'",
    }
    found = installed.run(where[shell]).stdout
    assert "pifopfs" in found or "umount" in found


def test_removing_it_leaves_nothing(installed: System) -> None:
    """The last one: the state of a mount made by mount(8) is the machine's, and goes with it."""
    installed.run("dpkg --purge pifopfs")
    left = installed.run(f"{FILES} > /tmp/after; comm -13 /tmp/before /tmp/after").stdout
    assert left == ""
