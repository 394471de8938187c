"""`pifopfs systemd`: files that are put there, or not, and taken away."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pifopfs.cli.systemd import HIDDEN

PROJECT = Path(__file__).parents[2]
UNITS = PROJECT / "systemd"
NAMES = ["pifopfs-server.service", "pifopfs@.service"]


def pifopfs(
    *arguments: str, home: Path, user: int | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pifopfs", "systemd", *arguments]
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C"}
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=30, check=False, cwd="/"
    )


def done(*arguments: str, home: Path) -> str:
    result = pifopfs(*arguments, home=home)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_users_units_run_the_command_that_was_called(tmp_path: Path) -> None:
    said = done("install", "--user", home=tmp_path)
    folder = tmp_path / ".config" / "systemd" / "user"
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    program = Path(sysconfig.get_path("scripts")) / "pifopfs"
    for name in NAMES:
        text = (folder / name).read_text()
        assert f"\nExecStart={program} " in text
        assert text == (UNITS / "user" / name).read_text().replace("/usr/bin/pifopfs", str(program))
        assert (folder / name).stat().st_mode & 0o777 == 0o644
        assert f"{folder / name}\n" in said
    assert "systemctl --user enable --now pifopfs@joe-tsp" in said
    assert not done("install", "--user", home=tmp_path).startswith("/")  # all is there


def test_a_package_gets_everything_below_its_root_for_usr_bin(tmp_path: Path) -> None:
    root = tmp_path / "dest"
    said = done("install", "--root", str(root), home=tmp_path)
    said += done("install", "--root", str(root), "--user", home=tmp_path)
    files = [path for path in root.rglob("*") if path.is_symlink() or not path.is_dir()]
    assert sorted(said.splitlines()) == sorted(map(str, files))
    for kind in ("system", "user"):
        for name in NAMES:
            installed = root / "usr/lib/systemd" / kind / name
            assert installed.read_text() == (UNITS / kind / name).read_text()
    helper = root / "usr/sbin/mount.fuse.pifopfs"
    assert str(helper.readlink()) == "/usr/bin/mount.fuse.pifopfs"
    done("uninstall", "--root", str(root), home=tmp_path)
    done("uninstall", "--root", str(root), "--user", home=tmp_path)
    assert [path for path in root.rglob("*") if not path.is_dir()] == []


@pytest.mark.parametrize(
    ("program", "word"),
    [("/opt/a %b/pifopfs", '"/opt/a %%b/pifopfs"'), ("/o'b/$x/pifopfs", '"/o\'b/$$x/pifopfs"')],
)
def test_a_command_whose_name_has_blanks_is_quoted(tmp_path: Path, program: str, word: str) -> None:
    root = str(tmp_path / "dest")
    done("install", "--root", root, "--executable", program, home=tmp_path)
    unit = (tmp_path / "dest/usr/lib/systemd/system/pifopfs@.service").read_text()
    assert f"\nExecStart={word} mount --foreground" in unit


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_a_file_that_is_not_as_it_would_be_written_stops_it_before_anything_is_changed(
    tmp_path: Path, verb: str
) -> None:
    folder = tmp_path / ".config" / "systemd" / "user"
    if verb == "uninstall":
        done("install", "--user", home=tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAMES[1]).write_text("mine")
    before = sorted(folder.iterdir())
    result = pifopfs(verb, "--user", home=tmp_path)
    assert result.returncode == 8
    assert f"changed since: {folder / NAMES[1]}; move it away, or use --force" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert (folder / NAMES[1]).read_text() == "mine"
    assert sorted(folder.iterdir()) == before
    done(verb, "--user", "--force", home=tmp_path)
    texts = [path.read_text() for path in folder.iterdir()]
    assert "mine" not in texts
    assert len(texts) == (2 if verb == "install" else 0)


def test_a_link_or_folder_in_the_way_stops_it(tmp_path: Path) -> None:
    helper = tmp_path / "dest/usr/sbin/mount.fuse.pifopfs"
    helper.parent.mkdir(parents=True)
    helper.symlink_to("/nowhere")
    result = pifopfs("install", "--root", str(tmp_path / "dest"), home=tmp_path)
    assert (result.returncode, "mount.fuse.pifopfs; move it away" in result.stderr) == (8, True)
    helper.unlink()
    helper.mkdir()
    result = pifopfs("install", "--root", str(tmp_path / "dest"), "--force", home=tmp_path)
    assert (result.returncode, "Is a directory" in result.stderr) == (8, True)


def test_root_is_not_made_to_run_what_a_user_can_change(tmp_path: Path) -> None:
    python = Path(sys.executable).resolve()
    if not any(python.is_relative_to(folder) for folder in HIDDEN):
        pytest.skip("the Python of these tests is the system's")
    result = pifopfs("install", home=tmp_path)
    assert result.returncode == 2
    assert "/opt/pifopfs" in result.stderr


def test_a_command_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    lonely = tmp_path / "python"
    lonely.symlink_to(sys.executable)
    site = sysconfig.get_path("purelib")
    path = [str(PROJECT), site]
    code = f"import sys; sys.path[:0] = {path}; import pifopfs.cli as c; c.main()"
    result = subprocess.run(
        [lonely, "-P", "-c", code, "systemd", "install", "--user"],
        env={"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "--executable" in result.stderr


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*/*.service")), ids=lambda path: path.name)
def test_each_unit_tells_when_it_is_ready_is_watched_and_started_again(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    for line in ("Type=notify", "WatchdogSec=2min", "Restart=on-failure", "KillMode=mixed"):
        assert line in lines
    assert ("Delegate=yes" in lines) == (unit.name == "pifopfs-server.service")


def test_the_package_has_the_units_of_the_project() -> None:
    assert (PROJECT / "pifopfs" / "systemd").resolve() == UNITS
    for kind in ("system", "user"):
        assert sorted(path.name for path in (UNITS / kind).iterdir()) == NAMES
