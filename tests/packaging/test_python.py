"""The wheel and the sdist: what is in them, that they are the same each time, and pipx."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import pifopfs
from tests.mount.harness import environment
from tests.packaging.conftest import Built
from tests.packaging.system import ROOT

pytestmark = pytest.mark.timeout(600)  # the first one builds

TEXT = {"capture_output": True, "text": True}
PIPX = str(Path(sys.executable).with_name("pipx"))


def build(what: str, source: Path, out: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", what, "--outdir", str(out), str(source)],
        check=True,
        capture_output=True,
        timeout=100,
    )


def contents(wheel: Path) -> dict[str, str]:
    """What each file is; not their dates."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def tracked() -> list[str]:
    """The project's files, as git knows them; new ones, too, and none that are deleted."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in set(listed.stdout.split("\0")) if name and (ROOT / name).exists()]


@pytest.fixture
def source(built: Built, tmp_path: Path) -> Path:
    """The sdist, unpacked."""
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    return folder


def test_the_wheel_has_what_is_not_code(built: Built) -> None:
    names = set(contents(built.wheel))
    for part in ("py.typed", "server/openapi.json", "examples/tsp/function.json"):
        assert f"pifopfs/{part}" in names
    for name in tracked():
        if re.fullmatch(r"(pifopfs/examples|systemd)/.*", name):
            assert f"pifopfs/{name.removeprefix('pifopfs/')}" in names
    shared = f"pifopfs-{pifopfs.__version__}.data/data/share"
    for page in (ROOT / "man" / "man1").iterdir():
        assert f"{shared}/man/man1/{page.name}" in names
    for name in tracked():
        if name.startswith("docs/"):
            assert f"{shared}/doc/pifopfs/{name}" in names
    for path in (
        "bash-completion/completions/pifopfs",
        "zsh/site-functions/_pifopfs",
        "fish/vendor_completions.d/pifopfs.fish",
    ):
        assert f"{shared}/{path}" in names
    assert not [name for name in names if name.startswith(("tests", "scripts", "docs"))]


def test_programs_of_the_examples_can_be_run_as_they_come_out_of_the_wheel(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        for info in archive.infolist():
            path = ROOT / info.filename
            if info.filename.startswith("pifopfs/examples/") and path.is_file():
                assert bool(info.external_attr >> 16 & 0o100) == os.access(path, os.X_OK)


def test_the_version_is_one(built: Built) -> None:
    version = pifopfs.__version__
    assert built.wheel.name == f"pifopfs-{version}-py3-none-any.whl"
    assert built.deb.name.startswith(f"pifopfs_{version}_")
    assert built.sdist.name == f"pifopfs-{version}.tar.gz"


def test_the_sdist_has_every_file_of_the_project(source: Path) -> None:
    there = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    links = {name for name in tracked() if (ROOT / name).is_symlink()}
    real = {str((ROOT / name).resolve()) for name in tracked()}
    assert real == {str((ROOT / name).resolve()) for name in there | links if name != "PKG-INFO"}


def test_the_wheel_of_the_sdist_is_the_wheel_of_a_clean_checkout(
    built: Built, source: Path, tmp_path: Path
) -> None:
    checkout = tmp_path / "elsewhere"
    for name in tracked():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name, follow_symlinks=False)
    build("--wheel", source, tmp_path / "one")
    build("--wheel", checkout, tmp_path / "other")
    (one,), (other,) = (tmp_path / "one").iterdir(), (tmp_path / "other").iterdir()
    assert one.read_bytes() == other.read_bytes()
    assert contents(one) == contents(built.wheel)


def test_tests_run_from_the_sdist(source: Path) -> None:
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    script = "import pifopfs; print(pifopfs.__file__)"
    env = os.environ | {"PYTHONPATH": str(source)}
    where = subprocess.run(
        [sys.executable, "-c", script], cwd=source, env=env, check=True, capture_output=True
    )
    assert str(source).encode() in where.stdout
    subprocess.run(
        [*command, "tests/unit/test_wire.py"], cwd=source, env=env, check=True, timeout=100
    )


class Pipx:
    """A pipx whose folders are all below one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders = {
            "PIPX_HOME": root / "pipx",
            "PIPX_BIN_DIR": root / "bin",
            "PIPX_MAN_DIR": root / "man",
            "PIPX_COMPLETION_DIR": root / "share",
        }
        self.env = os.environ | environment(root)
        self.env |= {name: str(path) for name, path in self.folders.items()}
        self.env["PATH"] = f"{root / 'bin'}:{os.environ['PATH']}"
        cache = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], check=True, **TEXT)
        self.env["PIP_CACHE_DIR"] = cache.stdout.strip()  # has pyfuse3, compiled for this Python

    def run(self, *command: str) -> str:
        """Of pipx, or of what it has installed."""
        result = subprocess.run(
            command, env=self.env, cwd=self.root, timeout=300, check=False, **TEXT
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def install(self, package: Path) -> None:
        constraints = f"--constraint {ROOT / 'constraints.txt'}"
        self.run(PIPX, "install", "--pip-args", constraints, str(package))

    def shown(self) -> list[Path]:
        """What is put before the user."""
        places = [path for name, path in self.folders.items() if name != "PIPX_HOME"]
        return [path for place in places for path in place.rglob("*") if not path.is_dir()]


def test_pipx_installs_the_wheel_which_does_the_main_job_and_goes(built: Built, root: Path) -> None:
    pipx = Pipx(root)
    pipx.install(built.wheel)
    assert (root / "man" / "man1" / "pifopfs-mount.1").exists()
    assert (root / "share" / "bash-completion" / "completions" / "pifopfs").exists()
    (root / "m").mkdir()
    pipx.run("pifopfs", "mount", "example:tsp", "m")
    try:
        shutil.copy(ROOT / "pifopfs/examples/tsp/berlin52.csv", root / "cities.csv")
        job = "mkdir m/executions/j && cp cities.csv m/executions/j/input/coords"
        pipx.run("sh", "-c", f"{job} && echo 1 > m/executions/j/start")
        assert pipx.run("cat", "m/executions/j/wait") == "normal\n"
        assert '"length": ' in pipx.run("cat", "m/executions/j/output/result")
    finally:
        pipx.run("pifopfs", "umount", "--stop-jobs", "m")
    pipx.run(PIPX, "uninstall", "pifopfs")
    assert pipx.shown() == []
    assert not (root / "pipx" / "venvs" / "pifopfs").exists()


def test_pipx_installs_the_sdist(built: Built, root: Path) -> None:
    pipx = Pipx(root)
    pipx.env["PIP_NO_COMPILE"] = "1"  # little of it is run
    pipx.install(built.sdist)
    version = pipx.run("pifopfs", "--version")
    assert version == f"pifopfs, version {pifopfs.__version__}\n"
