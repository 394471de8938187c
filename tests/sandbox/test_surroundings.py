"""What a program sees around it: no secrets, no paths, no processes but its own."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.contract.conftest import Site
from tests.sandbox.conftest import Try

pytestmark = pytest.mark.each_engine

SECRET = "a-secret-of-the-server"


@pytest.fixture
def secret_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the server's environment, before it starts."""
    monkeypatch.setenv("SERVER_SECRET", SECRET)


async def test_no_variable_of_the_server_reaches_any_process(
    secret_variable: None, attempts: Try
) -> None:
    facts = (await attempts("surroundings.py")).facts
    assert len(facts["environments"]) >= 2  # the first process's, and its own
    assert SECRET not in str(facts)
    assert facts["environment"]["HOME"] == facts["cwd"] == "/job"
    known = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONUNBUFFERED", "LD_PRELOAD", "PWD", "_"}
    known |= {"GFORTRAN_UNBUFFERED_PRECONNECTED", "_STDBUF_O", "_STDBUF_E", "OLDPWD", "LC_CTYPE"}
    assert facts["environment"].keys() <= known


async def test_no_path_of_the_machine_is_in_a_command_line(site: Site, attempts: Try) -> None:
    commands = (await attempts("surroundings.py")).facts["commands"]
    assert any("surroundings.py" in command for command in commands)
    for command in commands:
        assert str(site.root) not in command
        assert "--bind" not in command


async def test_only_the_standard_descriptors_are_open(attempts: Try) -> None:
    seen = await attempts("surroundings.py")
    assert seen.facts["descriptors"] == [0, 1, 2]
    assert seen.facts["stdin"] == "/dev/null"


async def test_the_first_process_holds_no_folder_of_the_machine(attempts: Try) -> None:
    seen = await attempts("surroundings.py")
    assert [name for name in seen.escaped if name.startswith("folder behind")] == []


async def test_there_is_no_controlling_terminal(attempts: Try) -> None:
    for terminal in (False, True):
        seen = await attempts("surroundings.py", sandbox={"terminal": terminal})
        assert seen.attempts["terminal"] == "ENXIO"


async def test_it_is_a_user_without_any_right(attempts: Try) -> None:
    facts = (await attempts("surroundings.py")).facts
    assert facts["ids"] == [65534] * 6
    assert set(facts["groups"]) <= {65534}
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(facts["status"][name], 16) == 0, name
    assert facts["status"]["NoNewPrivs"] == "1"
    assert facts["status"]["Seccomp"] == "2"
    assert facts["passwd"].count("\n") == 1


async def test_the_host_has_another_name(attempts: Try) -> None:
    assert (await attempts("surroundings.py")).facts["host"] == "sandbox"


async def test_what_is_there_is_an_allow_list(attempts: Try) -> None:
    facts = (await attempts("surroundings.py")).facts
    top = {"bin", "dev", "etc", "job", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin"}
    assert set(facts["top"]) <= top | {"tmp", "usr", "var"}
    etc = {"alternatives", "fonts", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"}
    assert set(facts["etc"]) <= etc | {"localtime", "nsswitch.conf", "passwd"}
    devices = {"console", "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr"}
    assert set(facts["devices"]) <= devices | {"stdin", "stdout", "tty", "urandom", "zero"}


async def test_a_process_of_the_machine_is_out_of_reach(
    attempts: Try, outsider: subprocess.Popen[bytes]
) -> None:
    seen = await attempts("processes.py", {"pid": outsider.pid})
    assert seen.escaped == []
    assert len(seen.attempts) == 14
    assert outsider.poll() is None


async def test_only_its_own_processes_are_seen(attempts: Try) -> None:
    facts = (await attempts("processes.py", {"pid": os.getpid()})).facts
    assert set(facts["pids"]) <= {1, 2, facts["own"]}
    assert facts["own"] < 10
