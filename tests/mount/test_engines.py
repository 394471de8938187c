"""Where programs run: an engine of another package, from the command line to a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakeservice import until
from tests.functions import write_function
from tests.mount.harness import PIFOPFS, Mount, environment
from tests.mount.test_folder import STARTED_AGAIN, server_pid
from tests.siteengine import install

AHEAD = 3
"""In the queue of that engine, while it is full."""


@pytest.fixture
def folder(root: Path) -> Path:
    return write_function(root / "fn", "tr a-z A-Z < a.txt > r.txt; echo done")


@pytest.fixture
def mount(root: Path, folder: Path) -> Iterator[Mount]:
    """One of the folder, not made yet; the engine `hall` is installed."""
    env = install(root) | {"PIFOPFS_SERVER_LINGER": "0.5"}
    made = Mount(root, str(folder), "--engine", "hall", env=env)
    yield made
    made.clean_up()


def run(mount: Mount, name: str = "j") -> str:
    """A job to its end; its end reason."""
    mount.sh(f"mkdir executions/{name}; echo hello > executions/{name}/input/a")
    return mount.out(f"echo 1 > executions/{name}/start; cat executions/{name}/wait")


def refused(mount: Mount, code: int, *words: str) -> None:
    """Mounting fails with this exit code, and one line that holds the words."""
    result = mount.pifopfs("mount", mount.target, str(mount.path), *mount.args)
    assert result.returncode == code, result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr
    assert not mount.mounted()


# ── Mounts of folders ─────────────────────────────────────────────────────────────────────────


def test_the_engine_of_a_site_runs_the_programs_of_a_folder(mount: Mount) -> None:
    note = mount.root / "note"
    engines = {"hall": {"colour": "blue"}, "slurm": {"no such": 1}, "nowhere": {}}
    write_function(mount.root / "fn", "tr a-z A-Z < a.txt > r.txt", engines=engines)
    mount.args = (*mount.args, "--engine-option", f"note={note}")
    mount.mount()
    assert run(mount) == "normal\n"
    assert mount.out("cat executions/j/output/r") == "HELLO\n"
    assert json.loads(note.read_text()) == {"colour": "blue"}
    lines = mount.out("cat .pifopfs/config").splitlines()
    shown = {name: rest for name, *rest in map(str.split, lines)}
    assert shown["engine"] == ["hall", "--engine"]
    assert shown["engine_options"] == [f"note={note}", "--engine-option"]


def test_the_engine_of_this_machine_can_be_named(mount: Mount) -> None:
    mount.args = ("--engine", "local")
    mount.mount()
    assert run(mount) == "normal\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--engine", "pbs"), ("there is no engine pbs", "hall, local", "slurm")),
        (("--engine", "lost"), ("the engine lost cannot be loaded", "mend its package")),
        (("--engine", "hall", "--engine-option", "x=1"), ("no option x", "full and note")),
        (("--engine-option", "x=1"), ("the engine local has no options",)),
        (("--engine", "hall", "--engine-option", "note"), ("'note'", "NAME=VALUE")),
        (("--engine", "hall", "--engine-option", "a=1", "--engine-option", "a=2"),
         ("a is given twice",)),
        (("-o", "engine=pbs"), ("there is no engine pbs",)),
    ],
)  # fmt: skip
def test_an_engine_that_cannot_be_is_told_of_and_nothing_stays(
    mount: Mount, args: tuple[str, ...], words: tuple[str, ...]
) -> None:
    mount.args = args
    mount.expected = ["pifopfs.cli.background: "]
    refused(mount, 2, *words)
    until(lambda: server_pid(mount) is None)


def test_an_engine_is_for_folders(mount: Mount) -> None:
    mount.target = "joe/tsp"
    refused(mount, 2, "--engine is for folders, and joe/tsp is none: leave it out")
    mount.args = ("--engine-option", "a=1")
    refused(mount, 2, "--engine-option is for folders, and joe/tsp is none: leave it out")
    mount.target = str(mount.root / "fn")


def test_variables_a_file_and_o_name_the_engine(mount: Mount, folder: Path) -> None:
    note = mount.root / "the note"
    words = ("-o", f"engine=hall,engine-option=note={note}")
    variables = {"PIFOPFS_ENGINE": "hall", "PIFOPFS_ENGINE_OPTIONS": f"'note={note}'"}
    config = mount.root / "config" / "pifopfs" / "config.toml"
    config.parent.mkdir(parents=True)
    section = f'[function."{folder}"]\nengine = "hall"\nengine_options = {{note = "{note}"}}\n'
    cases = {"o": (words, {}, ""), "v": ((), variables, ""), "f": ((), {}, section)}
    for name, (args, env, text) in cases.items():
        config.write_text(text)
        mount.args, mount.env = args, mount.env | env
        mount.mount()
        assert run(mount, name) == "normal\n"
        assert note.exists()
        note.unlink()
        mount.umount("--stop-jobs")
        mount.env = {name: mount.env[name] for name in mount.env.keys() - variables.keys()}


def test_a_folders_mounts_have_one_engine_with_the_same_options_until_its_server_ends(
    mount: Mount,
) -> None:
    options = ("--engine-option", f"note={mount.root}/n", "--engine-option", f"full={mount.root}/f")
    mount.args = ("--engine", "hall", *options)
    mount.mount()
    other = mount.root / "other"
    other.mkdir()
    second = ("mount", mount.target, str(other), "--state-dir", str(mount.root / "second"))
    for args, word in [
        ((), "--engine hall --engine-option note="),
        (("--engine", "local"), "--engine hall --engine-option note="),
        (("--engine", "hall"), "runs with --engine-option note="),
        (("--engine", "hall", *options[:2]), f"--engine-option full={mount.root}/f"),
        (("--engine", "slurm", *options), "runs with --engine hall:"),
    ]:
        result = mount.pifopfs(*second, *args)
        assert result.returncode == 5, result.stderr
        assert word in result.stderr
        assert "umount --stop-jobs" in result.stderr
        assert "Traceback" not in result.stderr
    same = mount.pifopfs(*second, "--engine", "hall", *options[2:], *options[:2])
    assert same.returncode == 0, same.stderr
    assert mount.pifopfs("umount", str(other)).returncode == 0
    mount.umount("--stop-jobs")
    mount.args = ("--engine", "hall")
    mount.mount()
    result = mount.pifopfs(*second)
    assert result.returncode == 5
    assert "runs with --engine hall:" in result.stderr
    mount.umount("--stop-jobs")
    mount.args = ()
    mount.mount()
    result = mount.pifopfs(*second, "--engine", "hall")
    assert result.returncode == 5
    assert "runs with --engine local:" in result.stderr


def test_a_server_that_died_is_started_again_with_the_same_engine(mount: Mount) -> None:
    note = mount.root / "note"
    mount.args = (*mount.args, "--engine-option", f"note={note}")
    mount.expected = [STARTED_AGAIN]
    mount.mount()
    died = server_pid(mount)
    assert died is not None
    os.kill(died, signal.SIGKILL)
    until(lambda: server_pid(mount) not in (None, died))
    until(lambda: mount.sh("mkdir executions/j", check=False).returncode == 0)
    mount.sh("echo 1 > executions/j/start; cat executions/j/wait")
    assert note.exists()


def test_a_function_that_tells_its_engine_nonsense_is_told_of_by_mkdir(
    mount: Mount, make_function: Callable[..., Path]
) -> None:
    said = "function.json: engines: the engine hall has only the option colour"
    make_function(engines={"hall": {"colour": "green"}})
    mount.expected = ["pifopfs.cli.background: "]
    refused(mount, 5, said)
    make_function(engines={"hall": {"colour": "blue"}})
    mount.mount()
    make_function(engines={"hall": {"colour": "green"}})
    assert mount.sh("mkdir executions/j", check=False).returncode != 0
    assert f": 503 {said}" in mount.log  # without the folder's path
    make_function(engines={"hall": {"colour": "red"}})
    until(lambda: mount.sh("mkdir executions/j", check=False).returncode == 0)
    assert mount.out("echo 1 > executions/j/start; cat executions/j/wait") == "normal\n"


def test_the_position_in_a_queue_is_in_the_status(mount: Mount) -> None:
    full = mount.root / "full"
    full.touch()
    mount.args = (*mount.args, "--engine-option", f"full={full}")
    mount.mount()
    mount.sh("mkdir executions/j; echo hello > executions/j/input/a; echo 1 > executions/j/start")

    def told() -> dict[str, object]:
        return dict(json.loads(mount.out("cat executions/j/status.json")))

    until(lambda: told().get("queue_position") == AHEAD)
    assert told()["status"] == "running"
    pending = mount.out("mkdir executions/k; cat executions/k/status.json")
    assert "queue_position" not in json.loads(pending)
    full.unlink()
    assert mount.out("cat executions/j/wait") == "normal\n"
    assert "queue_position" not in told()


# ── Without a mount ───────────────────────────────────────────────────────────────────────────


def test_a_job_in_one_line_runs_on_the_engine(mount: Mount) -> None:
    note = mount.root / "note"
    mount.env["PIFOPFS_SERVER_LINGER"] = "5"
    (mount.root / "words").write_text("words\n")
    engine = ("--engine", "hall", "--engine-option", f"note={note}")
    line = ("run", "-q", mount.target, "-i", "a=words", "-o", "r=loud", *engine)
    result = mount.pifopfs(*line)
    assert result.returncode == 0, result.stderr
    assert (mount.root / "loud").read_text() == "WORDS\n"
    assert note.exists()
    id_ = mount.pifopfs(
        "run", "-q", "--keep", mount.target, "-i", "a=words", *engine
    ).stdout.strip()
    assert mount.pifopfs("logs", mount.target, id_, *engine).stdout == "done\n"
    assert mount.pifopfs("wait", mount.target, id_, *engine).stdout == "normal\n"
    other = mount.pifopfs("wait", mount.target, id_, "--engine", "local")
    assert other.returncode == 5
    assert "--engine hall" in other.stderr
    assert mount.pifopfs("run", mount.target, "--engine", "pbs").returncode == 2


# ── serve ─────────────────────────────────────────────────────────────────────────────────────


def served(root: Path, *args: str, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PIFOPFS, "serve", str(root / "fns"), *args],
        env=environment(root) | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("place", ["flags", "variables"])
def test_functions_are_served_with_the_engine_of_a_site(mount: Mount, place: str) -> None:
    root, note = mount.root, mount.root / "a note"
    write_function(root / "fns" / "joe" / "fn", engines={"hall": {"colour": "red"}})
    (root / "own").mkdir(mode=0o700)
    socket, env = f"{root}/own/s.sock", {"PYTHONPATH": mount.env["PYTHONPATH"]}
    args = ("--engine", "hall", "--engine-option", f"note={note}")
    if place == "variables":
        env |= {"PIFOPFS_ENGINE": "hall", "PIFOPFS_ENGINE_OPTIONS": f'"note={note}"'}
        args = ()
    process = served(root, "--socket", socket, *args, env=env)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("serving joe/fn on unix:")
        mount.target, mount.args = "joe/fn", ("--endpoint", f"unix:{socket}")
        mount.mount()
        assert run(mount) == "normal\n"
        assert json.loads(note.read_text()) == {"colour": "red"}
        mount.umount()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--engine", "pbs"), 2, "there is no engine pbs; there are hall, local, lost, slurm"),
        (("--engine-option", "cpus"), 2, "--engine-option: 'cpus' is not of the form NAME=VALUE"),
        (("--engine", "hall", "--engine-option", "x=1"), 2, "the engine hall has no option x"),
        (("--engine-option", "x=1"), 2, "the engine local has no options"),
        (("--engine", "hall"), 3, "joe/fn/function.json: engines: the engine hall has only"),
    ],
)
def test_what_an_engine_does_not_take_keeps_a_server_from_starting(
    mount: Mount, args: tuple[str, ...], code: int, words: str
) -> None:
    write_function(mount.root / "fns" / "joe" / "fn", engines={"hall": {"x": 1}, "pbs": {"y": 2}})
    env = {"PYTHONPATH": mount.env["PYTHONPATH"]}
    process = served(mount.root, "--port", "0", *args, env=env)
    stdout, stderr = process.communicate(timeout=40)
    assert (process.returncode, stdout) == (code, "")
    assert words in stderr
    assert "Traceback" not in stderr


def test_installed_engines_are_completed(mount: Mount) -> None:
    words = {
        "_PIFOPFS_COMPLETE": "zsh_complete",
        "COMP_WORDS": "pifopfs serve --engine ",
        "COMP_CWORD": "3",
    }
    env = mount.env | words
    code = "import sys; sys.argv = ['pifopfs']; from pifopfs.cli import main; main()"
    result = subprocess.run(
        [PIFOPFS[0], "-c", code], env=env, capture_output=True, text=True, timeout=40, check=False
    )
    assert {"hall", "local", "slurm"} <= set(result.stdout.split())
