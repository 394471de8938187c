"""Keys from the command line: an author makes one, a user mounts with it, over HTTPS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakeservice import FakeService
from tests.functions import write_function
from tests.mount.harness import PIFOPFS, Mount, environment, write_key
from tests.mount.test_serve import serving


@dataclass
class Author:
    """A server's operator, at a shell."""

    root: Path
    endpoint: str = ""
    ca_file: str = ""

    def pifopfs(self, *args: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command; `key` is what PIFOPFS_API_KEY holds."""
        env = environment(self.root)
        if self.endpoint:
            env |= {"PIFOPFS_ENDPOINT": self.endpoint, "PIFOPFS_CA_FILE": self.ca_file}
        if key is not None:
            env["PIFOPFS_API_KEY"] = key
        return subprocess.run(
            [*PIFOPFS, *args], env=env, capture_output=True, text=True, timeout=30, check=False
        )

    def keys(self, *args: str, key: str | None = None) -> str:
        """What `pifopfs keys` prints; it must succeed."""
        result = self.pifopfs("keys", *args, key=key)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        assert result.stdout.count("\n") <= 1
        return result.stdout.strip()

    def fails(self, code: int, *args: str, key: str | None = None) -> str:
        """The one sentence of `pifopfs keys` that fails with this code."""
        result = self.pifopfs("keys", *args, key=key)
        assert (result.returncode, result.stdout) == (code, ""), result.stderr
        assert result.stderr.startswith("pifopfs: ")
        assert result.stderr.count("\n") == 1
        return result.stderr

    def mount(self, name: str, key: str, *args: str) -> Mount:
        """A user's mount of joe/fn with a key, not mounted yet."""
        (self.root / name).mkdir()
        write_key(self.root / name / "key", key)
        return Mount(
            self.root / name, "joe/fn", "--endpoint", self.endpoint, "--ca-file", self.ca_file,
            "--api-key-file", str(self.root / name / "key"), *args,
        )  # fmt: skip


@pytest.fixture
def author(root: Path) -> Iterator[Author]:
    """Of a server of joe/fn, at a free port."""
    write_function(root / "fns" / "joe" / "fn", "tr a-z A-Z < a.txt > r.txt")
    with serving(root, "--port", "0") as (process, ready):
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told.startswith("certificate: ")
        assert told.endswith(" (for --ca-file)\n")
        yield Author(
            root,
            ready.split(" on ")[1].strip(),
            told.removeprefix("certificate: ").removesuffix(" (for --ca-file)\n"),
        )


def test_an_author_makes_a_key_and_a_user_runs_a_job_with_it_over_HTTPS(author: Author) -> None:
    assert author.endpoint.startswith("https://localhost:")
    master = author.keys("master", "joe/fn")
    key = author.keys("create", "joe/fn", "eve", "--max-executions", "1", "--max-time", "0.5",
                      "--max-memory", "512", key=master)  # fmt: skip
    assert key.startswith("apikey_")
    with author.mount("eve", key) as mount:
        mount.sh("mkdir executions/j; echo hello > executions/j/input/a")
        mount.sh("echo 1 > executions/j/start; cat executions/j/wait")
        assert mount.out("cat executions/j/output/r") == "HELLO\n"
        id_ = mount.out("cat executions/j/id").strip()

        other = author.keys("create", "joe/fn", "bob", key=master)
        assert other != key
        with author.mount("bob", other) as stranger:
            result = stranger.sh(f"cat executions/{id_}/status", check=False)
            assert "No such file or directory" in result.stderr
        with author.mount("joe", master) as owner:
            assert owner.out(f"cat executions/{id_}/output/r") == "HELLO\n"


def test_a_key_that_was_deleted_is_refused(author: Author) -> None:
    master = author.keys("master", "joe/fn")
    key = author.keys("create", "joe/fn", "eve", key=master)
    assert author.keys("delete", "joe/fn", "eve", key=master) == ""
    mount = author.mount("eve", key)
    result = mount.pifopfs("mount", mount.target, str(mount.path), *mount.args)
    assert result.returncode == 4
    assert key not in result.stderr
    assert "no API key eve" in author.fails(5, "delete", "joe/fn", "eve", key=master)


def test_a_mount_whose_key_is_deleted_is_refused_and_its_job_runs_on(author: Author) -> None:
    write_function(author.root / "fns" / "joe" / "fn", "sleep 600")
    master = author.keys("master", "joe/fn")
    key = author.keys("create", "joe/fn", "eve", key=master)
    with author.mount("eve", key) as mount, author.mount("joe", master) as owner:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        id_ = mount.out("cat executions/j/id").strip()
        author.keys("delete", "joe/fn", "eve", key=master)
        for script in ("mkdir executions/k", "cat executions/j/log"):
            result = mount.sh(script, check=False)
            assert "Permission denied" in result.stderr, script
        assert owner.out(f"cat executions/{id_}/status") == "running\n"
        owner.sh(f"echo 1 > executions/{id_}/stop")


def test_a_mount_goes_on_with_the_key_that_takes_the_place_of_a_deleted_one(
    author: Author,
) -> None:
    master = author.keys("master", "joe/fn")
    key = author.keys("create", "joe/fn", "eve", key=master)
    with author.mount("eve", key) as mount:
        author.keys("delete", "joe/fn", "eve", key=master)
        assert "Permission denied" in mount.sh("mkdir executions/j", check=False).stderr
        write_key(author.root / "eve" / "key", author.keys("create", "joe/fn", "eve", key=master))
        mount.sh(
            "mkdir executions/j; echo hello > executions/j/input/a; echo 1 > executions/j/start"
        )
        assert mount.out("cat executions/j/wait executions/j/output/r") == "normal\nHELLO\n"


def test_keys_are_made_with_the_master_key_alone(author: Author) -> None:
    master = author.keys("master", "joe/fn")
    key = author.keys("create", "joe/fn", "eve", key=master)
    for text in (None, "wrong", key):
        said = author.fails(4, "create", "joe/fn", "mallory", key=text)
        assert text is None or text not in said
    assert "eve" in author.fails(5, "create", "joe/fn", "eve", key=master)


def test_a_key_is_limited_as_its_author_says(author: Author) -> None:
    write_function(author.root / "fns" / "joe" / "fn", "sleep 600")
    master = author.keys("master", "joe/fn")
    key = author.keys("create", "joe/fn", "eve", "--max-executions", "1", "--max-time", "0.02",
                      key=master)  # fmt: skip
    with author.mount("eve", key) as mount:
        mount.sh("mkdir executions/j executions/k; echo 1 > executions/j/start")
        result = mount.sh("echo 1 > executions/k/start", check=False)
        assert "Disk quota exceeded" in result.stderr
        assert mount.out("cat executions/j/wait") == "timeout\n"


# ── keys master ───────────────────────────────────────────────────────────────────────────────


def test_a_master_key_is_found_without_its_server_and_by_its_state_folder(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn")
    author = Author(root)
    state = root / "elsewhere"
    with serving(root, "--port", "0", "--state-dir", str(state)):
        pass
    assert "pifopfs serve" in author.fails(3, "master", "joe/fn")
    key = author.keys("master", "joe/fn", "--state-dir", str(state))
    assert key.startswith("master_")
    with serving(root, "--port", "0"):
        pass
    assert author.keys("master", "joe/fn") not in ("", key)


def test_several_servers_with_a_function_of_one_name_are_told_apart(root: Path) -> None:
    author = Author(root)
    for name in ("one", "two"):
        write_function(root / name / "fns" / "joe" / "fn")
        (root / name / "state").symlink_to(root / "state")
        (root / "state").mkdir(exist_ok=True)
        with serving(root / name, "--port", "0"):
            pass
    said = author.fails(2, "master", "joe/fn")
    folders = sorted((root / "state" / "pifopfs" / "servers").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert str(folder) in said
    found = {author.keys("master", "joe/fn", "--state-dir", str(folder)) for folder in folders}
    assert len(found) == 2


@pytest.mark.parametrize(
    "name", ["fn", "joe/", "/fn", "joe/fn/x", "../fn", "joe/..", "joe/nothing"]
)
def test_a_function_that_has_no_master_key(root: Path, name: str) -> None:
    assert name in Author(root).fails(3, "master", name)


# ── At any service ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def at_a_service(root: Path, service: FakeService) -> Author:
    """With a function at another service."""
    return Author(root, service.endpoint)


def test_keys_of_any_service_are_made_and_deleted(
    at_a_service: Author, service: FakeService
) -> None:
    at_a_service.ca_file = ""
    key = at_a_service.keys("create", "joe/tsp", "eve", "--max-memory", "1.5", key="m")
    assert key == "apikey_eve"
    assert service.api_keys == {"eve"}
    at_a_service.keys("delete", "joe/tsp", "eve", key="m")
    assert service.api_keys == set()
    assert set(service.keys) == {"Bearer m"}
    service.down()
    at_a_service.fails(5, "create", "joe/tsp", "eve", key="m")


def test_the_master_key_comes_from_a_file_as_well(
    at_a_service: Author, service: FakeService, root: Path
) -> None:
    write_key(root / "master", "m")
    at_a_service.keys("create", "joe/tsp", "eve", "--api-key-file", str(root / "master"))
    assert service.keys == ["Bearer m"]
    said = at_a_service.fails(4, "create", "joe/tsp", "bob", "--api-key-file", "/nowhere/key")
    assert "/nowhere/key" in said


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("create", "joe", "eve"), 3),
        (("create", "joe/tsp", "eve", "--max-memory", "0"), 2),
        (("create", "joe/tsp", "eve", "--max-memory", "inf"), 2),
        (("create", "joe/tsp", "eve", "--max-time", "-1"), 2),
        (("create", "joe/tsp", "eve", "--max-time", "nan"), 2),
        (("create", "joe/tsp", "eve", "--max-executions", "1.5"), 2),
        (("create", "joe/tsp"), 2),
        (("delete", "joe/tsp"), 2),
        (("create", "joe/tsp", "eve", "--endpoint", "http://example.com"), 5),
    ],
)
def test_a_command_that_is_not_right_asks_for_nothing(
    at_a_service: Author, service: FakeService, args: tuple[str, ...], code: int
) -> None:
    result = at_a_service.pifopfs("keys", *args, key="m")
    assert (result.returncode, result.stdout) == (code, "")
    assert service.requests == []


@pytest.mark.parametrize("command", [[], ["master"], ["create"], ["delete"]])
def test_help(root: Path, command: list[str]) -> None:
    result = Author(root).pifopfs("keys", *command, "--help")
    assert result.returncode == 0
    assert "Exit codes" in result.stdout
