"""What running a folder's programs needs: bubblewrap, user namespaces, a guard of memory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import trio

from pifopfs.doctor.findings import Finding, failing, ok, skipped, warning
from pifopfs.doctor.programs import version_of
from pifopfs.doctor.subject import Subject
from pifopfs.errors import SetupError
from pifopfs.machine import BUBBLEWRAP, NONE
from pifopfs.server.engines.opening import open_engine
from pifopfs.server.memory import cgroup1, cgroup2, polling
from pifopfs.server.memory.choosing import KINDS, VARIABLE
from pifopfs.server.memory.control_groups import PROCESSES, Unavailable, own_group
from pifopfs.server.sandbox.bubblewrap import find_program

SWITCHES = {
    "/proc/sys/user/max_user_namespaces": (
        "0",
        "user namespaces are switched off (user.max_user_namespaces is 0)",
        "sysctl user.max_user_namespaces=15000, as root",
    ),
    "/proc/sys/kernel/unprivileged_userns_clone": (
        "0",
        "user namespaces are for root only (kernel.unprivileged_userns_clone is 0)",
        "sysctl kernel.unprivileged_userns_clone=1, as root",
    ),
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "AppArmor lets only programs that it knows make user namespaces",
        "see 'AppArmor' in docs/SERVER.md, should the sandbox not work",
    ),
}
"""Settings of the kernel: the value that keeps bubblewrap from working, what it means, the mend."""


def bubblewrap(subject: Subject) -> Iterator[Finding]:
    """Whether there is one, and new enough."""
    if subject.isolation == NONE:
        yield skipped("isolation is none: programs run without bubblewrap")
        return
    try:
        path = find_program()
    except SetupError as error:
        yield _told(error, needed=subject.folder is not None)
    else:
        yield ok(f"{path}, version {version_of(path)}")


def sandbox(subject: Subject) -> Iterator[Finding]:
    """A program that does nothing is run in it, as a server does at its start."""
    if subject.isolation == NONE:
        yield skipped("isolation is none: programs run without a sandbox")
        return
    try:
        find_program()
    except SetupError:
        yield skipped("there is no bubblewrap to try")
        return
    owner = f"doctor{secrets.token_hex(4)}"
    try:
        trio.run(partial(open_engine, BUBBLEWRAP, polling.Polling(), owner=owner))
    except SetupError as error:
        yield _told(error, needed=subject.folder is not None)
    else:
        yield ok("a program that does nothing was run in the sandbox")


def user_namespaces(_: Subject) -> Iterator[Finding]:
    """Switches of the kernel that keep bubblewrap from working, whatever else is there."""
    found = [
        warning(text, mend)
        for path, (off, text, mend) in SWITCHES.items()
        if _content(Path(path)) == off
    ]
    yield from found
    if not found:
        yield ok("the kernel lets programs make user namespaces")


def _content(path: Path) -> str | None:
    """None where this kernel has no such setting."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None


def memory_guard(_: Subject) -> Iterator[Finding]:
    """What a server would keep runs within their memory with; told without setting any of it up."""
    forced = os.environ.get(VARIABLE)
    if forced == "polling":
        yield ok(f"memory limits are kept by polling, as {VARIABLE} says")
        return
    reasons: list[str] = []
    for kind, (name, look) in GUARDS.items():
        if forced and kind != forced:
            continue
        try:
            look()
        except Unavailable as error:
            reasons.append(f"not {name}: {error}")
        except OSError as error:
            reasons.append(f"not {name}: {error.filename}: {error.strerror}")
        else:
            yield ok(f"memory limits are kept by {name}")
            return
    why = "; ".join(reasons)
    if forced and forced not in GUARDS:
        yield warning(f"{VARIABLE} is {forced!r}", f"set it to one of {', '.join(KINDS)}")
    elif forced:
        yield warning(f"{VARIABLE} forces what fails ({why})", f"unset {VARIABLE}; or: {DELEGATE}")
    else:
        yield warning(f"memory limits are kept by polling, which is not exact ({why})", DELEGATE)


def _version2() -> None:
    """Raises Unavailable, OSError."""
    group = own_group("cgroup2", "", cgroup2.AVAILABLE)
    if group.name == cgroup2.LEAF:
        group = group.parent
    if cgroup2.CONTROLLER not in (group / cgroup2.AVAILABLE).read_text().split():
        raise Unavailable(f"the group {group} was given no control of its memory")
    _check_ours(group, group / cgroup2.GIVEN, group / PROCESSES)


def _version1() -> None:
    """Raises Unavailable, OSError."""
    _check_ours(cgroup1.prepared())


def _check_ours(*paths: Path) -> None:
    """Groups can be made in the first. Raises Unavailable."""
    for path in paths:
        if not os.access(path, os.W_OK):
            raise Unavailable(f"{path} cannot be written to: it was not delegated to this user")


GUARDS: dict[str, tuple[str, Callable[[], None]]] = {
    "v2": ("cgroup v2", _version2),
    "v1": ("cgroup v1", _version1),
}
"""The best first, as in `server.memory.choosing`, but only looked at."""
DELEGATE = (
    "where functions run with a limit, give the server a group of its own: "
    "systemd-run --user --scope -p Delegate=yes pifopfs serve … (as root without --user)"
)


def _told(error: SetupError, *, needed: bool) -> Finding:
    """These errors have their mend behind the last colon of what they say is wrong."""
    text, mend = str(error), "run functions of a service only, or --isolation none"
    for mark in ("): ", ": "):
        before, found, behind = text.partition(mark)
        if found:
            text, mend = before + mark.rstrip(": "), behind
            break
    return failing(text, mend, needed=needed)
