"""Where this process is: a container, a mount namespace, the limits that it was given."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

from pifopfs.doctor.findings import Finding, ok, skipped, warning
from pifopfs.doctor.subject import Subject

MARKS = {
    "/.dockerenv": "Docker",
    "/run/.containerenv": "Podman",
    "/run/systemd/container": "one that systemd knows",
    "/var/run/secrets/kubernetes.io": "Kubernetes",
}
"""Files that tell that this is a container, and of which kind."""
FEW_FILES = 4096
"""Each open file of a mount takes one descriptor of its daemon."""


def container() -> str | None:
    """The kind of container that this is, None where it is none, or hides it."""
    found = [kind for mark, kind in MARKS.items() if Path(mark).exists()]
    return found[0] if found else None


def status_of_process(name: str) -> str | None:
    """A field of /proc/self/status."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    fields = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in fields if key == name), None)


def in_container(_: Subject) -> Iterator[Finding]:
    """In one, mounts are seen by its own processes only."""
    kind = container()
    if kind is None:
        yield ok("this is no container")
    else:
        yield warning(
            f"this is a container ({kind}): what is mounted here is seen only in it",
            "mount outside and pass the folder in (-v FOLDER:FOLDER:rslave), or mount in it on a "
            "volume that is shared (-v FOLDER:FOLDER:rshared)",
        )


def propagation(subject: Subject) -> Iterator[Finding]:
    """Whether the machine's other processes will see a mount that is made here."""
    try:
        private = Path("/proc/self/ns/mnt").readlink() != Path("/proc/1/ns/mnt").readlink()
    except OSError:
        yield skipped("whether the first process sees the same mounts is not told to this user")
        return
    where = subject.mountpoint.parent if subject.mountpoint else _home()
    if not private:
        yield ok("every process of this machine, or of this container, sees its mounts")
    elif _is_shared(where):
        yield ok(f"this is a mount namespace of its own, but mounts below {where} are passed on")
    else:
        yield warning(
            f"this is a mount namespace of its own: nobody outside sees a mount below {where}",
            "mount from outside it; or, for a service of systemd, leave out what gives it its own "
            "(PrivateTmp=, ProtectSystem=, ProtectHome=)",
        )


def _home() -> Path:
    """Where mounts most often are; a user whom this machine does not know has none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def _is_shared(path: Path) -> bool:
    """Of the filesystem that holds a path: whether what is mounted below appears elsewhere too."""
    shared = {}
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.partition(" - ")[0].split(" ")
        shared[fields[4]] = any(field.startswith("shared:") for field in fields[6:])
    candidates = [str(part) for part in (path, *path.parents) if str(part) in shared]
    return bool(candidates) and shared[candidates[0]]


def open_files(_: Subject) -> Iterator[Finding]:
    """How many the daemon may have, which takes all that it is allowed."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FEW_FILES:
        yield warning(
            f"a process may have {hard} open files: so few serve no crowd",
            "raise the limit: /etc/security/limits.conf, or LimitNOFILE= of the service",
        )
    else:
        yield ok(f"a process may have {'any number of' if hard < 0 else hard} open files")
