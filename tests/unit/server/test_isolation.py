"""The start of a server whose sandbox does not work: it refuses, and says what to do."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from pifopfs.errors import OptionInvalid, ServerNotStarted
from pifopfs.server.engines.opening import open_engine
from pifopfs.server.memory.polling import Polling
from pifopfs.server.sandbox import bubblewrap, seccomp
from pifopfs.server.sandbox.stepdown import user_for_programs


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that programs are looked for in before all others; bubblewrap is nowhere else."""
    folder = tmp_path / "tools"
    folder.mkdir()
    path = ":".join(part for part in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"))
    for name in ("sh", "mount", "setpriv", "unshare", "mkdir"):
        for part in path.split(":"):
            if Path(part, name).exists():
                (folder / name).symlink_to(Path(part, name))
                break
    monkeypatch.setitem(bubblewrap.ENVIRONMENT, "PATH", str(folder))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return folder


def fake(tools: Path, said: str, version: str = "0.8.0") -> None:
    """A bubblewrap that says this and fails."""
    tools.chmod(0o755)
    script = (
        f"[ \"$1\" = --version ] && echo bubblewrap {version} && exit; echo '{said}' >&2; exit 1"
    )
    (tools / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "bwrap").chmod(0o755)


async def refused() -> str:
    with pytest.raises(ServerNotStarted) as raised:
        await open_engine("bubblewrap", Polling(), owner="tests")
    message = str(raised.value)
    assert "--isolation none" in message
    return message


async def test_without_bubblewrap(tools: Path) -> None:
    assert "apt-get install bubblewrap" in await refused()


@pytest.mark.parametrize("version", ["0.6.1", "", "of the house"])
async def test_with_one_that_is_too_old(tools: Path, version: str) -> None:
    fake(tools, "", version)
    message = await refused()
    assert "too old" in message
    assert "0.8.0" in message


ADVICE = {
    "bwrap: setting up uid map: Permission denied": "AppArmor",
    "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted": "AppArmor",
    "bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces "
    "exceeded (ENOSPC)": "sysctl user.max_user_namespaces",
    "bwrap: No permissions to create new namespace, likely because": "unprivileged_userns_clone",
    "bwrap: Can't mount proc on /newroot/proc: Operation not permitted": "systempaths",
    "something else": "something else",
}


@pytest.mark.parametrize("said", ADVICE)
async def test_what_bubblewrap_says_becomes_advice(
    tools: Path, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tools, said.replace("'", ""))
    if "'" in said:  # a shell's word
        (tools / "bwrap").write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo 0.8.0 && exit; echo "{said}" >&2; exit 1\n'
        )
    # its folder may be one that only this user enters
    monkeypatch.setattr("pifopfs.server.engines.opening.user_for_programs", lambda _: None)
    message = await refused()
    assert said in message
    assert ADVICE[said] in message


async def test_on_a_machine_without_a_table_of_system_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown() -> bytes:
        raise seccomp.UnknownMachine("pdp11")

    monkeypatch.setattr(seccomp, "program", unknown)
    assert "pdp11" in await refused()


async def test_without_a_sandbox_by_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        engine = await open_engine("none", Polling(), owner="tests")
    assert engine.isolation == "none"
    assert "isolation is none" in caplog.text


# ── Whom programs run as ──────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(os.getuid() != 0, reason="for a server of root's")
@pytest.mark.parametrize("name", ["root", "0", "no-such-user", "99999999999999999999", "-1"])
def test_a_user_that_programs_are_not_run_as(name: str) -> None:
    with pytest.raises(OptionInvalid, match="--run-as"):
        user_for_programs(name)


@pytest.mark.skipif(os.getuid() != 0, reason="for a server of root's")
def test_the_users_that_programs_are_run_as() -> None:
    default, named = user_for_programs(None), user_for_programs("daemon")
    assert default is not None
    assert named is not None
    assert 0 not in (default.uid, named.uid)
    assert default != named


def test_an_ordinary_user_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert user_for_programs(None) is None
    with pytest.raises(OptionInvalid, match="for servers that root runs"):
        user_for_programs("nobody")
