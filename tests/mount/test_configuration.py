"""Mounts and commands with their settings in files, and keys that change while they run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.fakeservice import FakeService
from tests.mount.harness import PIFOPFS, Mount, write_key

OLD, NEW = "apikey_old", "apikey_new"


def write_config(root: Path, text: str, *, of_the_system: bool = False) -> Path:
    """The user's file, or the system's."""
    path = root / ("etc" if of_the_system else "config/pifopfs") / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_mount_has_its_settings_from_both_files(root: Path, service: FakeService) -> None:
    service.accepted = OLD
    write_config(root, f'endpoint = "{service.endpoint}"', of_the_system=True)
    user = write_config(
        root, '[function."joe/tsp"]\napi_key_file = "key"\noptions = "ro"\nlog_level = "debug"'
    )
    write_key(user.parent / "key", OLD)
    with Mount(root, "joe/tsp") as mount:
        assert "Read-only" in mount.sh("mkdir executions/j", check=False).stderr
        assert " DEBUG " in mount.log
    assert set(service.keys) == {f"Bearer {OLD}"}


def test_a_mistake_in_a_file_is_one_sentence_with_its_place(
    root: Path, service: FakeService
) -> None:
    path = write_config(root, '[function."joe/tsp"]\nendpiont = "x"')
    mount = Mount(root, "joe/tsp", "--endpoint", service.endpoint)
    for command in (
        ("mount", "joe/tsp", str(mount.path)),
        ("config", "show"),
        ("keys", "delete", "joe/tsp", "eve"),
        ("login", "joe/tsp"),
    ):
        result = mount.pifopfs(*command)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.count("\n") == 1
        assert str(path) in result.stderr
        assert "endpiont: there is no such setting; did you mean endpoint?" in result.stderr


def test_other_commands_have_the_same_settings(root: Path, service: FakeService) -> None:
    user = write_config(
        root, f'[function."joe/tsp"]\nendpoint = "{service.endpoint}"\napi_key_file = "key"'
    )
    write_key(user.parent / "key", OLD)
    result = Mount(root, "joe/tsp").pifopfs("keys", "create", "joe/tsp", "eve")
    assert result.stdout == "apikey_eve\n"
    assert service.keys == [f"Bearer {OLD}"]


def test_regression_a_folder_whose_name_is_not_utf8_could_not_be_shown(root: Path) -> None:
    mount = Mount(root, "joe/tsp")
    result = subprocess.run(
        [*PIFOPFS, "config", "show", "--state-dir", b"/tmp/\xff"],
        env=mount.env | {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        check=True,
        timeout=20,
    )
    assert b"/tmp/\xff" in result.stdout


def test_the_configuration_is_shown_with_where_it_comes_from(root: Path) -> None:
    user = write_config(root, 'cache_dir = "~/x"\n[function."joe/tsp"]\nrecheck = 3')
    system = write_config(root, 'log_level = "error"', of_the_system=True)
    mount = Mount(root, "joe/tsp", env={"PIFOPFS_API_KEY": "apikey_S3cr3t"})
    result = mount.pifopfs("config", "show", "joe/tsp", "--state-dir", "/s", "-o", "ro,ca-file=/c")
    assert result.returncode == 0, result.stderr
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in result.stdout.splitlines()}
    assert rows["api_key"] == "(not shown; in the variable PIFOPFS_API_KEY) PIFOPFS_API_KEY"
    assert rows["state_dir"] == "/s --state-dir"
    assert rows["ca_file"] == "/c --ca-file"
    assert rows["options"] == "ro -o"
    assert rows["stall"] == "3 PIFOPFS_STALL"
    assert rows["cache_dir"] == f"{Path.home()}/x {user}"
    assert rows["log_level"] == f"error {system}"
    assert rows["log_rate"] == "262144 default"
    assert "S3cr3t" not in result.stdout + result.stderr
    document = json.loads(mount.pifopfs("config", "show", "--json").stdout)
    assert document["cache_dir"]["from"][0]["where"] == str(user)
    assert document["api_key"]["place"] == "the variable PIFOPFS_API_KEY"
    assert "isolation" in document
    assert mount.pifopfs("config", "show", "nothing").returncode == 3
    assert mount.pifopfs("config", "path").stdout == f"{user}\n"
    assert mount.pifopfs("config", "path", "--system").stdout == f"{system}\n"


def test_a_key_file_that_others_can_read_is_refused_with_the_mend(
    root: Path, service: FakeService
) -> None:
    path = write_key(root / "key", OLD)
    path.chmod(0o644)
    mount = Mount(root, "joe/tsp", "--endpoint", service.endpoint, "--api-key-file", str(path))
    result = mount.pifopfs("mount", mount.target, str(mount.path), *mount.args)
    assert result.returncode == 4
    assert f"chmod 600 {path}" in result.stderr
    assert service.requests == []
    path.chmod(0o600)
    with mount:
        assert mount.mounted()


def test_a_credential_of_systemd_is_the_key(root: Path, service: FakeService) -> None:
    service.accepted = OLD
    write_key(root / "pifopfs-key", OLD).chmod(0o440)
    env = {"CREDENTIALS_DIRECTORY": str(root)}
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=env) as mount:
        mount.sh("mkdir executions/j")


# ── A key that changes ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def rotating(root: Path, service: FakeService) -> Mount:
    """A mount whose key stands in root/key, and that the service takes."""
    service.accepted = OLD
    key = write_key(root / "key", OLD)
    return Mount(root, "joe/tsp", "--endpoint", service.endpoint, "--api-key-file", str(key))


def test_a_running_mount_takes_a_new_key_of_its_file_for_calls_and_large_bodies(
    rotating: Mount, root: Path, service: FakeService
) -> None:
    with rotating as mount:
        mount.sh("mkdir executions/j; head -c 20m /dev/zero > executions/j/input/coords")
        service.accepted = NEW
        write_key(root / "key", NEW)
        mount.sh("mkdir executions/k")
        mount.sh("head -c 20m /dev/zero > executions/k/input/model")
        mount.sh("echo 1 > executions/k/start")
        execution = list(service.executions.values())[1]
        assert len(execution.inputs["model"]) == 20 << 20
        execution.end(result=b"x" * (20 << 20))
        assert mount.out("cat executions/k/wait") == "normal\n"
        assert mount.out("wc -c < executions/k/output/result") == f"{20 << 20}\n"
    used = [key.removeprefix("Bearer ") for key in service.keys if key]
    assert used.index(NEW) > 0
    assert mount_is_done_once(service)


def mount_is_done_once(service: FakeService) -> bool:
    """No execution was created for nothing."""
    return len(service.executions) == 2


def test_a_refused_key_is_told_of_and_a_right_one_in_its_place_mends_it(
    rotating: Mount, root: Path, service: FakeService
) -> None:
    with rotating as mount:
        mount.sh("mkdir executions/j")
        service.accepted = NEW
        (root / "key").chmod(0o644)
        assert "Permission denied" in mount.sh("echo 1 > executions/j/start", check=False).stderr
        told = mount.out("cat executions/j/error")
        assert f"chmod 600 {root / 'key'}" in told
        assert "apikey" not in told
        write_key(root / "key", NEW).chmod(0o600)
        mount.sh("echo 1 > executions/j/start")
    assert service.only().status == "running"
