"""`pifopfs doctor` run where something is wrong: in a mount namespace made so, or as another user.

What is changed there is seen by nobody outside, and is gone with the process.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pifopfs.doctor.table import CHECKS
from tests.mount.harness import PIFOPFS, environment

PROJECT = Path(__file__).parents[2]
USER = 65534
NAMESPACE = ["unshare", "--mount", "--propagation", "private"]
NO_RIGHT = ["setpriv", "--bounding-set=-sys_admin"]
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]

WITHOUT_BWRAP = "\n".join(
    f"mount --bind /dev/null {path}"
    for path in ("/usr/bin/bwrap", str(Path(sys.executable).with_name("bwrap")))
    if Path(path).is_file()
)


def checks(*names: str) -> list[str]:
    """The options for these alone."""
    return [word for name in names for word in ("--check", name)]


EVERY = checks(*(check.name for check in CHECKS if check.name != "mounts"))
"""All but that for the mounts of other tests, of which some are dead."""

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="mounts and other users need root")


@dataclass
class Told:
    """What doctor has said, and how it ended."""

    code: int
    document: dict[str, Any]

    def only(self, check: str) -> dict[str, str]:
        """The one finding of a check."""
        (finding,) = self.all(check)
        return finding

    def all(self, check: str) -> list[dict[str, str]]:
        found = [each for each in self.document["findings"] if each["check"] == check]
        assert found, f"nothing is said of {check}"
        return found

    def says(self, check: str, state: str, *words: str) -> dict[str, str]:
        """The finding of a check, which has this state and these words."""
        finding = self.only(check)
        assert finding["state"] == state, finding
        for word in words:
            assert word in f"{finding['text']} -> {finding['mend']}", finding
        assert bool(finding["mend"]) == (state in ("warning", "problem")), finding
        return finding


def doctor(
    root: Path,
    *arguments: str,
    check: str = "",
    setup: str = "",
    prefix: list[str] | None = None,
    env: Mapping[str, str] | None = None,
    user: bool = False,
) -> Told:
    """Examine. `check`: only these, with commas. `setup`: lines of shell that are run first, in a
    mount namespace for that; `user`: as an ordinary one; `prefix`: a command that runs the command
    behind it.
    """
    command = [*(prefix or []), *PIFOPFS, "doctor", "--json", *arguments]
    command += checks(*check.split(",")) if check else EVERY
    if user:
        command = [*AS_USER, *command]
        root.chmod(0o711)
    if setup or user:
        lines = [
            "set -e",
            f"cd {shlex.quote(str(root))}",
            *(opened(root) if user else []),
            setup,
            'exec "$@"',
        ]
        command = [*NAMESPACE, "sh", "-c", "\n".join(lines), "sh", *command]
    result = run(command, root, env, user=user)
    assert result.returncode in (0, 9), result.stderr
    return Told(result.returncode, json.loads(result.stdout))


def run(
    command: list[str], root: Path, env: Mapping[str, str] | None, *, user: bool = False
) -> subprocess.CompletedProcess[str]:
    surroundings = {k: v for k, v in environment(root).items() if not k.lower().endswith("_proxy")}
    surroundings |= {"HOME": str(root)} | dict(env or {})
    if user:
        for value in surroundings.values():
            if value.startswith(f"{root}/"):
                os.chown(value, USER, USER)
    return subprocess.run(
        command, env=surroundings, cwd=root, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def opened(root: Path) -> list[str]:
    """Lines that let an ordinary user reach this Python and this project, where root's home keeps
    them from others.
    """
    home = Path("/root")
    needed = {Path(sys.base_prefix), Path(sys.prefix), PROJECT}
    kept = [path for path in sorted(needed) if path.is_relative_to(home)]
    if not kept:
        return []
    lines, back = [], [f"mount -t tmpfs -o mode=755 t {home}"]
    for number, path in enumerate(kept):
        aside = root / f"kept{number}"
        lines.append(f"mkdir -p {aside} && mount --bind {path} {aside}")
        back.append(f"mkdir -p {path} && mount --bind {aside} {path}")
    return [*lines, *back]
