"""A home in which commands are replayed, as somebody would type them there.

It is shown as `/home/joe`, has a service with the function `joe/tsp`, and an empty folder `~/tsp`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.doctor.rig import NAMESPACE
from tests.fakeservice import FakeService
from tests.mount import daemonlog
from tests.mount.harness import Mount

HOME = "/home/joe"
PLACES = {
    "XDG_STATE_HOME": ".local/state",
    "XDG_CACHE_HOME": ".cache",
    "XDG_CONFIG_HOME": ".config",
}
"""As they are where the variables are not set."""
END = "\x1e"
LINE_NUMBER = re.compile(r"^bash: line \d+: ")
"""Which an interactive shell does not tell."""


@dataclass
class Stage:
    """A home with a service, and what was done there."""

    mount: Mount
    service: FakeService
    prefix: list[str] = field(default_factory=list)
    """A command that runs the shell."""
    cleanup: ExitStack = field(default_factory=ExitStack)

    @property
    def root(self) -> Path:
        return self.mount.root

    def replay(self, commands: list[str]) -> list[list[str]]:
        """What each command prints, errors among it, as the document shows it."""
        script = "".join(f"{command}\nprintf '{END}'\n" for command in commands)
        result = subprocess.run(
            [*self.prefix, "bash", "-c", f"exec 2>&1; cd\n{script}"],
            env=self.mount.env,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        text = result.stdout.replace(str(self.root), HOME)
        parts = text.split(END)[: len(commands)]
        return [[LINE_NUMBER.sub("bash: ", line) for line in part.split("\n")] for part in parts]


@contextmanager
def home(root: Path) -> Iterator[Stage]:
    """A service, and nothing mounted."""
    with FakeService(root / "s.sock") as service:
        mount = Mount(root, "joe/tsp")
        mount.path.rmdir()
        mount.path = root / "tsp"
        mount.path.mkdir()
        programs = root / "bin"
        programs.mkdir()
        for name in ("pifopfs", "python3"):
            (programs / name).symlink_to(Path(sys.executable).with_name(name))
        (root / "cities.csv").write_text("1 2\n")
        for name, folder in PLACES.items():
            del mount.env[name]
            (root / folder).parent.mkdir(exist_ok=True)
            (root / folder).mkdir()
        (root / "state").rmdir()
        (root / "state").symlink_to(root / PLACES["XDG_STATE_HOME"])
        mount.env |= {
            "HOME": str(root),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PIFOPFS_ENDPOINT": service.endpoint,
            "LC_ALL": "C.UTF-8",
            "PIFOPFS_SERVER_LINGER": "1",
        }
        for name in ("all_proxy", "https_proxy", "no_proxy"):
            mount.env.pop(name, None)
            mount.env.pop(name.upper(), None)
        stage = Stage(mount, service)
        try:
            with stage.cleanup:
                yield stage
        finally:
            service.heal()
            if mount.mounted() or mount.target != "joe/tsp":
                mount.clean_up()
            daemonlog.check(root, mount.expected)


def within(*setup: str) -> list[str]:
    """A command that runs another one in a mount namespace that was changed so."""
    return [*NAMESPACE, "sh", "-c", "\n".join(["set -e", *setup, 'exec "$@"']), "sh"]
