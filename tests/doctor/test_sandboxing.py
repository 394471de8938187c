"""What doctor says of running the programs of folders, and of a folder's function."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doctor.rig import NO_RIGHT, WITHOUT_BWRAP, doctor, needs_root
from tests.functions import write_function

SETTINGS = "mount -t tmpfs t /proc/sys/kernel"


@needs_root
@pytest.mark.parametrize(("arguments", "state"), [([], "warning"), (["example:tsp"], "problem")])
def test_no_bubblewrap(root: Path, arguments: list[str], state: str) -> None:
    told = doctor(root, *arguments, setup=WITHOUT_BWRAP, check="bubblewrap,sandbox")
    told.says("bubblewrap", state, "not installed", "apt-get install bubblewrap")
    told.says("sandbox", "skipped")
    assert told.code == (9 if arguments else 0)


@needs_root
def test_a_bubblewrap_that_is_too_old(root: Path) -> None:
    (root / "old").write_text("#!/bin/sh\necho bubblewrap 0.4.1\n")
    setup = f"chmod 755 old\n{WITHOUT_BWRAP.replace('/dev/null', 'old')}"
    told = doctor(root, "example:tsp", setup=setup, check="bubblewrap")
    told.says("bubblewrap", "problem", "too old here (", "version 0.8.0 or newer")


def test_without_isolation_no_sandbox_is_looked_for(root: Path) -> None:
    told = doctor(
        root, "example:tsp", env={"PIFOPFS_ISOLATION": "none"}, check="bubblewrap,sandbox"
    )
    told.says("bubblewrap", "skipped", "isolation is none")
    told.says("sandbox", "skipped", "isolation is none")


@needs_root
def test_a_sandbox_that_does_not_work(root: Path) -> None:
    told = doctor(root, "example:tsp", prefix=NO_RIGHT, check="sandbox")
    told.says("sandbox", "problem", "does not work here (", "--cap-add SYS_ADMIN")


@needs_root
def test_user_namespaces_that_are_kept_back(root: Path) -> None:
    setup = f"""
        echo 0 > n && mount --bind n /proc/sys/user/max_user_namespaces
        {SETTINGS}
        echo 0 > /proc/sys/kernel/unprivileged_userns_clone
        echo 1 > /proc/sys/kernel/apparmor_restrict_unprivileged_userns"""
    told = doctor(root, setup=setup, check="user-namespaces")
    off, for_root, confined = told.all("user-namespaces")
    assert {off["state"], for_root["state"], confined["state"]} == {"warning"}
    assert "switched off" in off["text"]
    assert "sysctl user.max_user_namespaces=15000" in off["mend"]
    assert "root only" in for_root["text"]
    assert "sysctl kernel.unprivileged_userns_clone=1" in for_root["mend"]
    assert "AppArmor" in confined["text"]
    assert "docs/SERVER.md" in confined["mend"]


@needs_root
def test_no_control_group(root: Path) -> None:
    hidden = "mount -t tmpfs t /sys/fs/cgroup"
    told = doctor(root, setup=hidden, check="memory-guard")
    told.says("memory-guard", "warning", "polling", "not cgroup v2", "Delegate=yes")
    told = doctor(root, setup=hidden, env={"PIFOPFS_MEMORY_GUARD": "v2"}, check="memory-guard")
    told.says("memory-guard", "warning", "forces what fails", "unset PIFOPFS_MEMORY_GUARD")
    told = doctor(root, setup=hidden, env={"PIFOPFS_MEMORY_GUARD": "polling"}, check="memory-guard")
    told.says("memory-guard", "ok", "polling")


def test_a_memory_guard_that_is_none(root: Path) -> None:
    told = doctor(root, env={"PIFOPFS_MEMORY_GUARD": "prayer"}, check="memory-guard")
    told.says("memory-guard", "warning", "'prayer'", "v2, v1, polling")


# ── A folder's function ───────────────────────────────────────────────────────────────────────


def test_a_folder_without_a_function_file(root: Path) -> None:
    told = doctor(root, str(root), check="function-file")
    told.says("function-file", "problem", f"{root}/function.json: there is no such file")
    assert told.code == 9


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": ["nosuchprogram"]}, ["there is no program nosuchprogram", "install it"]),
        ({"command": []}, ["command"]),
        (
            {"sandbox": {"read_only": ["/no/such/path"]}},
            ["sandbox.read_only: /no/such/path is not there"],
        ),
    ],
)
def test_a_function_file_that_is_not_right(
    root: Path, fields: dict[str, object], words: list[str]
) -> None:
    folder = write_function(root / "fn", **fields)  # type: ignore[arg-type]
    doctor(root, str(folder), check="function-file").says("function-file", "problem", *words)


def test_a_program_that_the_sandbox_hides(root: Path) -> None:
    program = root / "tools" / "solve"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    folder = write_function(root / "fn", command=[str(program)])
    told = doctor(root, str(folder), check="function-file")
    told.says("function-file", "problem", "the sandbox hides", f'"read_only": ["{program.parent}"]')
    told = doctor(root, str(folder), env={"PIFOPFS_ISOLATION": "none"}, check="function-file")
    told.says("function-file", "ok")


def test_programs_that_run_elsewhere_are_not_looked_for_here(root: Path) -> None:
    folder = str(write_function(root / "fn", command=["no-such-program"]))
    told = doctor(root, folder, check="function-file")
    told.says("function-file", "problem", "there is no program no-such-program")
    told = doctor(root, folder, env={"PIFOPFS_ENGINE": "slurm"}, check="function-file")
    told.says("function-file", "ok")


def test_an_engine_that_is_not_installed(root: Path) -> None:
    env = {"PIFOPFS_ENGINE": "pbs"}
    told = doctor(root, "example:tsp", env=env, check="configuration")
    told.says("configuration", "problem", "no engine pbs", "name another: there are local, slurm")
    assert doctor(root, "joe/tsp", env=env, check="configuration").code == 0
