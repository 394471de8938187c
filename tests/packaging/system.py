"""A Debian system for one test: this machine's, as it is, to be changed at will.

A name space in which a layer lies over everything; what is written there is in memory, and gone
at the end. This checkout, its environment and root's home are not to be seen.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
from pathlib import Path

from tests.fakeservice import until

ROOT = Path(__file__).parents[2]

SET_UP = """
set -e
place=$1
shift
mount --make-rprivate /
mount -t tmpfs tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" "$place/root"
cd "$place/root"
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
for folder in tmp run root "$@"; do mkdir -p "./$folder"; mount -t tmpfs tmpfs "./$folder"; done
chmod 1777 tmp
pivot_root . mnt
umount -l mnt
: >/run/ready
exec sleep infinity
"""


class System:
    """Runs commands as root, in an environment that has nothing of ours."""

    def __init__(self, place: Path) -> None:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SET_UP]
        self._holder = subprocess.Popen([*command, "sh", str(place), str(ROOT)])
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        until(lambda: children.read_text().split(), what="a name space is there")
        self._first = children.read_text().split()[0]
        until(lambda: Path(f"/proc/{self._first}/root/run/ready").exists(), what="it is set up")

    def path(self, path: str) -> Path:
        """How a file in there is reached from here."""
        return Path(f"/proc/{self._first}/root{path}")

    def run(
        self, script: str, *, check: bool = True, timeout: float = 100
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of sh; what it prints is in `stdout`, errors with the rest."""
        process = subprocess.run(
            self.command("sh", "-c", script),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or process.returncode == 0, process.stdout
        return process

    def command(self, *words: str) -> list[str]:
        """A command line that runs another one in there."""
        enter = ["nsenter", "-t", self._first, "--mount", "--pid", "--root", "--wd"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [*enter, "env", "-i", path, "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", *words]

    def script(self, *words: str) -> str:
        """The same, as a word for a shell."""
        return shlex.join(self.command(*words))

    def close(self) -> None:
        """All that runs in there is killed."""
        self._holder.send_signal(signal.SIGKILL)
        self._holder.wait()
        until(lambda: not Path(f"/proc/{self._first}").exists(), what="it is gone")
