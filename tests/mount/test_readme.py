"""What the README shows is run as it stands there; what it and the other documents name exists."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pifopfs.cli.group import COMMANDS
from tests.fakeservice import until
from tests.functions import EXAMPLES
from tests.mount.harness import environment

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
DOCUMENTS = [
    PROJECT / "README.md",
    PROJECT / "CHANGELOG.md",
    *sorted((PROJECT / "docs").glob("*.md")),
]


def section(heading: str) -> str:
    """The text below a heading, or above all of them."""
    above, *sections = README.split("\n## ")
    if not heading:
        return above
    return next(text for text in sections if text.startswith(f"{heading}\n"))


def block(heading: str, language: str) -> str:
    """The first block of code in a language below a heading."""
    found = re.search(rf"```{language}\n(.*?)```", section(heading), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def env(root: Path) -> dict[str, str]:
    """A home of its own, and the command on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return environment(root) | {"HOME": str(root), "PATH": path}


def run(script: str, root: Path, env: dict[str, str]) -> str:
    """What a script prints that is run beside the package, as in a checkout. It must succeed."""
    (root / "pifopfs").symlink_to(PROJECT / "pifopfs")
    result = subprocess.run(
        ["bash", "-ec", script],
        cwd=root, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_tour(root: Path, env: dict[str, str]) -> None:
    try:
        out = run(block("A tour, without an account", "sh"), root, env)
        assert out.startswith("normal\n52 cities")
        assert '"length": ' in out
        assert re.search(r"^ended +normal +0 .* job1$", out, re.MULTILINE)
    finally:
        subprocess.run(["fusermount3", "-uqz", str(root / "tsp")], check=False)


def test_two_commands_and_the_path() -> None:
    commands, path = re.findall(r"```sh\n(.*?)```", section("Two commands"), re.DOTALL)
    assert [line.split()[0] for line in commands.splitlines()] == ["scripts/demo", "scripts/test"]
    result = subprocess.run(
        ["bash", "-ec", f"PATH=/usr/bin:/bin\n{path}\ncommand -v pifopfs"],
        cwd=PROJECT, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert result.stdout == f"{PROJECT}/.venv/bin/pifopfs\n", result.stderr


def test_the_job_in_one_line(root: Path, env: dict[str, str]) -> None:
    run(block("", "sh"), root, env | {"PIFOPFS_SERVER_LINGER": "0.5"})
    assert json.loads((root / "tour.json").read_text())["length"] >= 7542
    servers = root / "run" / "pifopfs" / "folders"
    until(lambda: not list(servers.glob("*.http")), what="the server of the function has ended")


def test_the_function_file_and_the_library(root: Path, env: dict[str, str]) -> None:
    folder = root / "fns" / "joe" / "tsp"
    folder.mkdir(parents=True)
    (folder / "function.json").write_text(block("Functions in folders", "json"))
    (folder / "tsp.py").write_bytes((EXAMPLES / "tsp" / "tsp.py").read_bytes())
    (root / "solve.py").write_text(block("The client library", "python"))
    (root / "own").mkdir(mode=0o700)
    pifopfs = [sys.executable, "-m", "pifopfs"]
    server = subprocess.Popen(
        [*pifopfs, "serve", str(root / "fns"), "--socket", str(root / "own" / "s")],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        endpoint = server.stdout.readline().split(" on ")[1].strip()
        cities = str(EXAMPLES / "tsp" / "berlin52.csv")
        solve = [sys.executable, str(root / "solve.py"), "joe/tsp", endpoint]
        subprocess.run([*solve, cities, str(root / "out")], env=env, check=True, timeout=60)
        assert json.loads((root / "out").read_text())["length"] >= 7542
    finally:
        server.terminate()
        server.communicate(timeout=20)


# ── What is named ────────────────────────────────────────────────────────────────────────────────


def code(text: str) -> str:
    """What stands in backquotes, or in a block."""
    found = re.findall(r"^```.*?^```|`[^`]+`", text, re.DOTALL | re.MULTILINE)
    return "\n".join(found)


def test_the_commands_and_scripts_that_are_named_exist() -> None:
    named = set(re.findall(r"\bpifopfs ([a-z]+)\b", code(README)))
    assert {"mount", "run", "ps", "doctor"} <= named <= set(COMMANDS)
    scripts = set(re.findall(r"\bscripts/(\w+)", README))
    assert {"demo", "test", "package"} <= scripts
    assert [name for name in scripts if not os.access(PROJECT / "scripts" / name, os.X_OK)] == []


def test_the_system_packages_that_are_named_are_those_that_install_sees_to() -> None:
    always, _, _ = (PROJECT / "scripts" / "install").read_text().partition("case ")
    needed = set(re.findall(r"^ *need \"?(\S+?)\"? ", always, re.MULTILINE))
    needed = {name.replace("$system_python", "python3") for name in needed}
    named = (
        section("Two commands").partition("the system packages")[2].partition("and this project")
    )
    assert set(re.findall(r"`(\S+)`", named[0])) == needed
    line = re.search(r"apt-get install (fuse3 .*)", section("Install"))
    assert line is not None
    assert {*line[1].split(), "python3-venv"} == needed | {"pipx"}


# ── Links ────────────────────────────────────────────────────────────────────────────────────────


def anchors(document: Path) -> set[str]:
    """The names that GitHub gives to the headings of a document."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("https://", "http://")):
            name, _, anchor = target.partition("#")
            goal = document.parent / name if name else document
            assert goal.exists(), target
            assert not anchor or anchor in anchors(goal), target
