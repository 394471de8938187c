"""`pifopfs login` and `logout`: a key is asked for, checked, stored, used and removed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.fakeservice import FakeService, refuse, until
from tests.mount.harness import PIFOPFS, Mount, environment

KEY = "apikey_S3cr3t"
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def env(root: Path, service: FakeService) -> dict[str, str]:
    """Of a user whose service takes one key, and whose desktop has no keyring."""
    service.accepted = KEY
    return environment(root) | {
        "PIFOPFS_ENDPOINT": service.endpoint,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "PYTHONPATH": str(PROJECT),
        "TEST_KEYRING": str(root / "keyring"),
    }


def pifopfs(
    env: dict[str, str], *args: str, stdin: str = "", code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a command, which ends with this code, and shows the key nowhere."""
    result = subprocess.run(
        [*PIFOPFS, *args],
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd="/",
    )
    assert result.returncode == code, result.stderr
    assert "S3cr3t" not in result.stdout + result.stderr
    return result


def stored(root: Path) -> list[Path]:
    return sorted(path for path in (root / "config").rglob("*") if path.is_file())


def test_a_key_is_checked_and_stored_and_a_mount_has_it_until_it_is_removed(
    root: Path, service: FakeService, env: dict[str, str]
) -> None:
    told = pifopfs(env, "login", "joe/tsp", stdin=f"{KEY}\n").stdout
    (path,) = stored(root)
    assert f"joe/tsp at {service.endpoint} is stored in {path}" in told
    assert path.read_text() == f"{KEY}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert service.requests == [("function", "")]
    assert str(path) in pifopfs(env, "config", "show", "joe/tsp").stdout
    with Mount(root, "joe/tsp", env=env) as mount:
        mount.sh("mkdir executions/j")
    told = pifopfs(env, "logout", "joe/tsp").stdout
    assert f"removed from {path}" in told
    assert stored(root) == []
    refused = Mount(root, "joe/tsp", env=env)
    assert refused.pifopfs("mount", "joe/tsp", str(refused.path)).returncode == 4
    assert "nothing to remove" in pifopfs(env, "logout", "joe/tsp", code=4).stderr


@pytest.mark.parametrize("answer", ["refused", "unknown", "down"])
def test_a_key_that_the_service_does_not_take_is_not_stored(
    root: Path, service: FakeService, env: dict[str, str], answer: str
) -> None:
    code, key = {"refused": (4, KEY + "x"), "unknown": (3, KEY), "down": (5, KEY)}[answer]
    if answer == "unknown":
        service.fault("function", refuse(404))
    elif answer == "down":
        service.down()
    result = pifopfs(env, "login", "joe/tsp", stdin=key, code=code)
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert stored(root) == []


@pytest.mark.parametrize("text", ["", "\n", "a b", "\x00", "ü", "x" * 5000])
def test_what_is_no_key_is_not_even_sent(
    root: Path, service: FakeService, env: dict[str, str], text: str
) -> None:
    result = pifopfs(env, "login", "joe/tsp", stdin=text, code=4)
    assert "standard input" in result.stderr
    assert service.requests == []


@pytest.mark.parametrize("name", ["joe", "/tmp", "example:tsp", "joe/tsp/x"])
def test_a_key_is_for_a_function_of_a_service(env: dict[str, str], name: str) -> None:
    for command in ("login", "logout"):
        assert name in pifopfs(env, command, name, stdin=KEY, code=3).stderr


def test_on_a_terminal_the_key_is_asked_for_without_echo(
    root: Path, service: FakeService, env: dict[str, str]
) -> None:
    ours, theirs = pty.openpty()
    said = ""

    def read() -> bool:
        nonlocal said
        said += os.read(ours, 4096).decode()
        return "not shown" in said

    with subprocess.Popen(
        [*PIFOPFS, "login", "joe/tsp"],
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        until(read)
        os.write(ours, f"{KEY}\n".encode())
        assert process.wait(30) == 0
    said += os.read(ours, 4096).decode()
    os.close(ours)
    assert f"joe/tsp at {service.endpoint}" in said
    assert "is stored in" in said
    assert "S3cr3t" not in said
    assert stored(root)[0].read_text() == f"{KEY}\n"


def test_a_key_is_stored_in_the_keyring_where_there_is_one_and_a_mount_has_it(
    root: Path, service: FakeService, env: dict[str, str]
) -> None:
    env["PYTHON_KEYRING_BACKEND"] = "tests.keyrings.Keyring"
    assert "keyring" in pifopfs(env, "login", "joe/tsp", stdin=KEY).stdout
    kept = json.loads((root / "keyring").read_text())
    assert kept == {f"pifopfs {service.endpoint}": {"joe/tsp": KEY}}
    assert "S3cr3t" not in "".join(path.read_text() for path in stored(root))
    assert "keyring" in pifopfs(env, "config", "show", "joe/tsp").stdout
    with Mount(root, "joe/tsp", env=env) as mount:
        mount.sh("mkdir executions/j")
    assert "keyring" in pifopfs(env, "logout", "joe/tsp").stdout
    assert "S3cr3t" not in (root / "keyring").read_text()
    pifopfs(env, "login", "joe/tsp", "--file", stdin=KEY)
    assert "S3cr3t" not in (root / "keyring").read_text()
    assert stored(root)[0].read_text() == f"{KEY}\n"


def test_a_keyring_that_is_locked_is_told_of_with_the_mend(
    root: Path, service: FakeService, env: dict[str, str]
) -> None:
    env["PYTHON_KEYRING_BACKEND"] = "tests.keyrings.Keyring"
    pifopfs(env, "login", "joe/tsp", stdin=KEY)
    (root / "keyring").write_text("locked")
    assert "--file" in pifopfs(env, "login", "joe/tsp", stdin=KEY, code=8).stderr
    mount = Mount(root, "joe/tsp", env=env)
    result = mount.pifopfs("mount", "joe/tsp", str(mount.path))
    assert result.returncode == 4
    assert "locked" in result.stderr
    assert "pifopfs login joe/tsp" in result.stderr


def test_what_goes_before_a_stored_key_is_told_of(env: dict[str, str]) -> None:
    env["PIFOPFS_API_KEY"] = "another"
    assert "PIFOPFS_API_KEY goes before it" in pifopfs(env, "login", "joe/tsp", stdin=KEY).stderr


def test_a_running_mount_takes_the_key_of_the_next_login(
    root: Path, service: FakeService, env: dict[str, str]
) -> None:
    pifopfs(env, "login", "joe/tsp", stdin=KEY)
    with Mount(root, "joe/tsp", env=env) as mount:
        service.accepted = "apikey_next"
        assert mount.sh("mkdir executions/j", check=False).returncode != 0
        pifopfs(env, "login", "joe/tsp", stdin="apikey_next")
        mount.sh("mkdir executions/j")
        assert service.keys[-1] == "Bearer apikey_next"
