"""A reader of the cookbook, with a home folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cookbook.recipes import recipe
from tests.fakeservice import until
from tests.mount import daemonlog
from tests.mount.harness import PIFOPFS, environment

MOUNTPOINTS = ("tsp", "sweep", "mounts/tsp")
"""Where recipes mount, below the home folder."""


class Reader:
    """Saves files and runs commands, in a home folder that is also the current one."""

    def __init__(self, home: Path) -> None:
        self.home = home
        command = home / ".local" / "bin" / "pifopfs"  # where pipx puts it
        command.parent.mkdir(parents=True)
        command.symlink_to(Path(sys.executable).with_name("pifopfs"))
        (home / "temporary").mkdir()
        path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
        self.env = environment(home) | {
            "HOME": str(home),
            "PATH": path,
            "LC_ALL": "C",
            "PIFOPFS_SERVER_LINGER": "1",
            "TMPDIR": str(home / "temporary"),  # LibreOffice leaves something there
        }
        self.env.pop("XDG_CONFIG_HOME", None)  # it is ~/.config, as for most

    def sh(self, *scripts: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run commands, each after the other as long as they succeed, and for a minute at most."""
        result = subprocess.run(
            ["timeout", "-k5", "60", "bash", "-ec", "\n".join(scripts)],  # and what they began
            cwd=self.home, env=self.env, capture_output=True, text=True, timeout=70, check=False,
        )  # fmt: skip
        if check:
            assert result.returncode == 0, f"{scripts}\n{result.stdout}\n{result.stderr}"
        return result

    def out(self, *scripts: str) -> str:
        """The output of commands that must succeed."""
        return self.sh(*scripts).stdout

    def begin(self) -> None:
        """What the cookbook has everybody do first."""
        self.sh(*recipe("Before you begin").commands)

    def clean_up(self) -> None:
        """Nothing of the recipes' mounts stays."""
        for name in MOUNTPOINTS:
            path = str(self.home / name)
            command = [*PIFOPFS, "umount", "--force", "--stop-jobs", path]
            subprocess.run(command, env=self.env, capture_output=True, timeout=40, check=False)
            subprocess.run(["fusermount3", "-uqz", path], capture_output=True, check=False)
        servers = self.home / "run" / "pifopfs" / "folders"
        until(lambda: not list(servers.glob("*.http")), what="the servers of folders have ended")
        daemonlog.check(self.home)


@pytest.fixture
def reader(root: Path) -> Iterator[Reader]:
    """Somebody who has just installed pifopfs."""
    someone = Reader(root)
    yield someone
    someone.clean_up()
