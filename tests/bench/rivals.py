"""What users would take instead of a mount of pifopfs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.origin import Origin
from tests.bench.processes import RowFailed, eventually, run, started, timed


def curl_get(origin: Origin, url: str, target: Path | str) -> float:
    """Seconds."""
    return timed(["curl", "-sSf", "--cacert", origin.ca_file, "-o", target, url])


def curl_post(ca_file: Path, file: Path, url: str, *more: str) -> float:
    """Seconds."""
    command = ["curl", "-sSf", "--cacert", ca_file, "-X", "POST", "-T", file, "-o", "/dev/null"]
    return timed([*command, *more, url])


def curl_crowd(config: Path) -> float:
    """Seconds for the transfers of a config file of curl's, 32 at a time."""
    command = ["curl", "-sSf", "--parallel", "--parallel-max", "32", "--config", config]
    return timed([*command, "--parallel-immediate"])


@contextmanager
def rclone_mount(origin: Origin, folder: Path) -> Iterator[Path]:
    """The outputs of the origin, by rclone's http backend; nothing is cached yet."""
    if shutil.which("rclone") is None:
        raise RowFailed("rclone is missing: scripts/install --bench")
    path = folder / "rclone"
    path.mkdir(exist_ok=True)
    command = ["rclone", "mount", ":http:", path, "--read-only", "--http-url"]
    command += [f"{origin.https}/files/", "--ca-cert", origin.ca_file]
    command += ["--cache-dir", folder / "rclone-cache"]
    env = os.environ | {"RCLONE_CONFIG": str(folder / "rclone.conf")}
    with started(command, env=env):
        eventually(lambda: _is_mounted(path), "rclone has mounted")
        try:
            yield path
        finally:
            run(["fusermount3", "-u", path])


def _is_mounted(path: Path) -> bool:
    return f" {path} " in Path("/proc/self/mountinfo").read_text(errors="replace")
