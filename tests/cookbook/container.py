"""`docker run` as the cookbook says it, done by podman, which needs no daemon and here no image.

The image's place is taken by a folder with busybox in it. All happens in a mount namespace of its
own, in which the home folder is shared, as all of a machine with systemd is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

APPLETS = ("sh", "cat", "cp", "echo", "grep", "ls", "mkdir", "rmdir", "sleep")

DOCKER = """#!/bin/sh
# docker run …: without what may be denied here (limits, control groups, networks)
shift
for word; do
    shift
    [ "$word" != debian:12 ] || {{ set -- "$@" --rootfs; word={image}; }}
    set -- "$@" "$word"
done
exec podman --root {place}/storage --runroot {place}/run --tmpdir {place}/tmp \\
    --cgroup-manager cgroupfs --storage-driver vfs run --cgroups disabled --network none \\
    --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 --timeout 40 "$@"
"""

HOST = """
umount /sys/fs/cgroup/unified 2>/dev/null || true  # crun refuses old and new control groups at once
mount --bind "$HOME" "$HOME"
mount --make-{propagation} "$HOME"
mkdir -p ~/project
cd ~/project
"""


def make_docker(command: Path, folder: Path) -> None:
    """The command, with its image and all that it keeps in a folder outside the home."""
    image = folder / "image"
    (image / "bin").mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    libraries = subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False).stdout
    for file in [busybox, *re.findall(r"(?:=> |^\s)(/\S+)", libraries, re.MULTILINE)]:
        place = image / file.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    for applet in APPLETS:
        (image / "bin" / applet).symlink_to(busybox)
    command.write_text(DOCKER.format(image=image, place=folder))
    command.chmod(0o700)


def on_a_host(
    script: str, env: Mapping[str, str], *, propagation: str = "shared", check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a script in ~/project, where the home folder is a shared mount, or is not."""
    result = subprocess.run(
        ["unshare", "--mount", "bash", "-ec", HOST.format(propagation=propagation) + script],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if check:
        assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
    return result


def why_not(env: Mapping[str, str]) -> str | None:
    """What keeps containers from running here; None if they run."""
    if os.getuid() != 0:
        return "only root can make a shared mount"
    result = on_a_host("docker run --rm debian:12 echo here", env, check=False)
    return None if result.stdout == "here\n" else f"podman runs no container: {result.stderr}"
