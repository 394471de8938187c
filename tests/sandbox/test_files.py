"""A program reads its own folder and this machine's programs, and writes its own folder only."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from tests.contract.conftest import Site, eventually
from tests.sandbox.conftest import Try, started

pytestmark = pytest.mark.each_engine

WAYS = ("", "/proc/1/root", "/proc/self/root", "/proc/1/cwd/../../../../../..", "../../../../..")
"""How a program may try to reach an absolute path of the machine's."""


def by_all_ways(*paths: Path | str) -> list[str]:
    return [f"{way}{path}" for path in paths for way in WAYS]


async def test_nothing_of_the_machine_is_read_by_any_way(
    site: Site, attempts: Try, open_folder: Path
) -> None:
    key = site.root / "keys"
    key.write_text("secret")
    site.root.chmod(0o755)
    own = Path(__file__).resolve()
    state = [path for path in site.state.iterdir() if path.is_file()]
    assert state
    secrets = ["/etc/shadow", "/etc/hostname", key, open_folder / "secret", own, *state]
    seen = await attempts("files.py", {"read": by_all_ways(*secrets)})
    assert seen.escaped == []
    assert len(seen.attempts) == len(secrets) * len(WAYS)


async def test_the_payload_reads_what_it_may(attempts: Try) -> None:
    """Else the others would show nothing."""
    seen = await attempts(
        "files.py",
        {
            "read": ["/usr/bin/env", "files.py", "/job/function.json", "/etc/passwd"],
            "list": ["/", "/usr", "/job", "."],
            "write": ["files.py", "/dev/null"],
            "make": ["/job", "/tmp", "/dev/shm", "/var/tmp"],
        },
    )
    assert set(seen.attempts.values()) == {"ESCAPED"}


async def test_folders_of_the_machine_are_not_listed(
    site: Site, attempts: Try, open_folder: Path
) -> None:
    folders = by_all_ways("/home", "/root", "/sys", "/boot", "/opt", "/mnt", "/srv", "/var/lib")
    folders += by_all_ways(open_folder, site.root, site.state)
    folders += ["/tmp", "/run", "/dev/shm", "/dev/mapper", "/dev/disk"]
    seen = await attempts("files.py", {"list": folders})
    assert seen.escaped == []


async def test_only_its_own_folder_is_written(site: Site, attempts: Try, open_folder: Path) -> None:
    """It opens only, or makes a file without a name: nothing is ever written."""
    files = [open_folder / "secret", "/usr/bin/env", "/etc/ld.so.cache", "/etc/passwd", "/dev/kmsg"]
    folders = [open_folder, site.state, "/", "/usr", "/usr/bin", "/etc", "/dev", "/run", "/var"]
    folders += ["/job/..", "/home", "/proc/1/cwd/.."]
    seen = await attempts("files.py", {"write": [*map(str, files)], "make": [*map(str, folders)]})
    assert seen.escaped == []
    assert len(seen.attempts) == len(files) + len(folders)


async def test_no_setting_of_the_kernel_can_be_opened_for_writing(attempts: Try) -> None:
    """One that can be written takes over the whole machine: nothing is written here."""
    files = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/kcore", "/proc/mtrr"]
    folders = ["/proc/sys", "/proc/irq", "/proc/bus", "/proc/acpi", "/proc/scsi", "/proc/fs"]
    seen = await attempts("files.py", {"write": files, "write all": folders})
    assert seen.escaped == []
    assert len(seen.attempts) > 100


async def test_kernel_memory_and_messages_are_not_read(attempts: Try) -> None:
    paths = ["/proc/kcore", "/proc/kmsg", "/dev/kmsg", "/dev/mem", "/dev/vda", "/dev/sda"]
    seen = await attempts("files.py", {"read": paths})
    assert seen.escaped == []


async def test_a_run_sees_nothing_of_another_one(
    site: Site, http: httpx.AsyncClient, attempts: Try
) -> None:
    """Which is running meanwhile, as the same user."""
    folder = site.function(
        "other", "for d in . /tmp /dev/shm; do echo s > $d/others; done; sleep 600"
    )
    (folder / "plain").write_text("secret")
    execution = await started(http, "other")

    async def is_there() -> bool:
        return any(site.state.rglob("others"))

    await eventually(is_there)
    (found,) = site.state.rglob("others")
    work = found.parent
    site.root.chmod(0o755)
    name = work.parent.name
    files = [work / "others", work / "plain", work / "r.txt", work.parent / "log"]
    nearby = [f"/{name}/work/others", f"/job/../{name}/work/others", f"../../{name}/work/others"]
    nearby += [f"/proc/{pid}/cwd/../../{name}/work/others" for pid in (1, 2, 3)]
    shared = ["/tmp/others", "/dev/shm/others", "/var/tmp/others"]
    folders = by_all_ways(work, work.parent, work.parent.parent)
    seen = await attempts(
        "files.py", {"read": [*by_all_ways(*files), *nearby, *shared], "list": folders}
    )
    assert seen.escaped == []
    assert found.read_text() == "s\n"
    assert (await http.delete(execution)).status_code == 200


async def test_what_a_run_leaves_is_closed_to_other_users(
    site: Site, http: httpx.AsyncClient, attempts: Try
) -> None:
    """It may leave programs with the setuid bit: nobody else may get at them."""
    await attempts("files.py", {"read": ["files.py"]})
    (found,) = site.state.rglob("work/files.py")
    site.root.chmod(0o755)
    above = [path for path in found.parents if path.is_relative_to(site.state)]
    assert any(path.stat().st_mode & 0o077 == 0 and path.stat().st_uid == os.getuid()
               for path in above)  # fmt: skip
