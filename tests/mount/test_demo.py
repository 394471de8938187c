"""scripts/demo: the main job from nothing, and nothing left behind, also when interrupted.

And scripts/record, which draws it for the README.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fakeservice import until

PROJECT = Path(__file__).parents[2]
DEMO = PROJECT / "scripts" / "demo"


@pytest.fixture
def temporary(root: Path) -> Iterator[Path]:
    """Where this demo puts everything; it must leave it empty."""
    folder = root / "t"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    until(lambda: not processes(folder), what="its processes have ended")


def processes(folder: Path) -> list[str]:
    """Processes that were started with folders of this demo."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{folder}/".encode() in environ.read_bytes():
                found.append(environ.parent.name)
        except OSError:
            continue
    return found


def sockets(process: subprocess.Popen[str]) -> list[Path]:
    """The folders that a demo has outside its own, for the paths of sockets have a limit."""
    return list(Path("/tmp").glob(f"pifopfs.{process.pid}.*"))


def begin(folder: Path, demo: Path = DEMO) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(demo)],
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_the_demo_prints_the_tour_beside_the_optimum_and_leaves_nothing(temporary: Path) -> None:
    process = begin(temporary)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    for command in ["pifopfs mount", "mkdir", "cp", "echo 1 >", "tail", "cat", "rmdir"]:
        assert f"$ {command}" in out
    length = int(out.rstrip().splitlines()[-1].split(" is ")[1].split()[0])
    assert 7542 <= length <= 7542 * 1.02
    assert out.rstrip().endswith("7542.")
    assert sockets(process) == []


def test_the_demo_works_in_a_long_folder_whose_name_has_a_blank(
    root: Path, temporary: Path
) -> None:
    """Of this checkout by another name: installing it there would take minutes."""
    checkout, long = root / "my checkout", temporary / "my" / ("x" * 100)
    (checkout / "scripts").mkdir(parents=True)
    long.mkdir(parents=True)
    (checkout / "scripts" / "install").symlink_to("/bin/true")
    shutil.copy(DEMO, checkout / "scripts")
    for name in (".venv", "pifopfs"):
        (checkout / name).symlink_to(DEMO.parents[1] / name)
    process = begin(long, checkout / "scripts" / "demo")
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    assert out.rstrip().endswith("7542.")
    assert sockets(process) == []
    long.rmdir()  # it is empty
    long.parent.rmdir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "moment", ["pifopfs mount", "mkdir", "echo 1 >", "cat tsp", "pifopfs umount"]
)
def test_an_interrupted_demo_leaves_nothing(
    temporary: Path, moment: str, number: signal.Signals
) -> None:
    process = begin(temporary)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"$ {moment}"):
            break
    os.killpg(process.pid, number)  # as a terminal does
    out, _ = process.communicate(timeout=60)
    assert process.returncode != 0 or out.endswith("7542.\n")  # it was over before
    assert sockets(process) == []


# ── The picture ──────────────────────────────────────────────────────────────────────────────────


def drawn(picture: Path) -> list[str]:
    """The lines of text in a picture, from top to bottom."""
    lines: dict[float, str] = defaultdict(str)
    for text in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text"):
        lines[float(text.attrib["y"])] += (text.text or "").replace("\N{NO-BREAK SPACE}", " ")
    return [lines[y].strip() for y in sorted(lines)]


def what_stays(lines: list[str]) -> tuple[list[str], set[str]]:
    """The commands, and the kinds of lines that they print: without numbers, owners and dates."""
    commands = [line for line in lines if line.startswith("$ ")]
    printed = [line for line in lines if line and line not in commands]
    listed = [re.sub(r"^(-rw-------) .* (\w+)$", r"\1 \2", line) for line in printed]
    return commands, {re.sub(r"[\d., ]*\d[\d., ]*", "0", line) for line in listed}


def test_the_picture_shows_the_demo_as_it_is(root: Path, temporary: Path) -> None:
    """Run scripts/record and look at the picture where this fails: the demo has changed."""
    env = os.environ | {"TMPDIR": str(temporary)}
    command = [str(PROJECT / "scripts" / "record"), str(root / "session.svg")]
    subprocess.run(command, env=env, check=True, timeout=100, capture_output=True)
    kept = PROJECT / "docs" / "session.svg"
    assert what_stays(drawn(kept)) == what_stays(drawn(root / "session.svg"))


def test_the_picture_is_small_and_fetches_nothing() -> None:
    text = (PROJECT / "docs" / "session.svg").read_text()
    assert len(text) < 150_000
    assert set(re.findall(r"https?://[^\s\"')]*", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text
