"""The options of `-o`, as for any filesystem: what the daemon applies, what the kernel does, and
what is mount(8)'s or systemd's own, which an /etc/fstab line may hold and which is let pass.

A value with a comma or a blank in it is quoted as mount(8) has it, `name="a,b"`, or has a
backslash before each, `name=a\\,b`, as with other FUSE filesystems.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pifopfs.errors import OptionInvalid

LARGEST_ID = 2**32 - 2
"""Of users and groups; the number after it means none."""

KERNEL_OPTIONS = {"ro", "noexec", "noatime", "allow_other", "allow_root", "sync", "dirsync"}
OWN_OPTIONS = {"notify"}
"""Those that only this filesystem has: the daemon applies them."""
OPPOSITES = {"rw": "ro", "exec": "noexec", "async": "sync"}
"""Each takes back the one that came before it."""
PASSED_OVER = {"", "defaults", "default_permissions", "_netdev", "nofail", "noauto", "silent"}
PASSED_OVER |= {
    name
    for pair in (
        "auto user users owner group",  # fstab(5): when mount(8) and systemd mount, and who may
        "atime relatime strictatime lazytime diratime",  # no times of accesses are kept
        "suid dev iversion mand",  # no device, and no set-user-id bit, can be on a mount
    )
    for word in pair.split()
    for name in (word, f"no{word}")
    if name not in KERNEL_OPTIONS
}
VALUES_PASSED_OVER = {"comment", "user", "helper", "uhelper"}

_QUOTED = r'(?:[^",\\]|\\.|"(?:[^"\\]|\\.)*")+'
_ITEM = re.compile(_QUOTED, re.DOTALL)
_ITEMS = re.compile(f"(?:{_QUOTED}|,)*+", re.DOTALL)
_PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"|\\(.)|([^"\\]+)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class FuseOptions:
    """The meaning of `-o`: what the daemon applies, and what goes to the kernel."""

    uid: int
    gid: int
    umask: int = 0o077
    kernel: frozenset[str] = frozenset()
    notify: bool = False
    """Changes are told to all who watch with inotify, not to the mount's own user only."""


def split(options: Iterable[str]) -> list[str]:
    """Single options, quoted as they were. Raises OptionInvalid for a quote without its end."""
    items = []
    for text in options:
        if not _ITEMS.fullmatch(text):
            raise OptionInvalid(f"-o {text}: a quote or a backslash has nothing that ends it")
        items += [item.strip() for item in _ITEM.findall(text)]
    return items


def named(item: str) -> tuple[str, str | None]:
    """The name of a single option, and its value without quotes; None where it has none."""
    name, equals, value = "".join(map(_plain, _PIECE.finditer(item))).partition("=")
    return name, value if equals else None


def _plain(piece: re.Match[str]) -> str:
    quoted, escaped, rest = piece.groups()
    if quoted is not None:
        return re.sub(r'\\(["\\])', r"\1", quoted)
    return str(escaped or rest)


def is_known(item: str) -> bool:
    """Whether `parse_options` would take this single option, whatever its value."""
    name, value = named(item)
    return (value is not None and name in _PARSERS) or _is_plain(name, value)


def _is_plain(name: str, value: str | None) -> bool:
    if name.lower().startswith("x-"):
        return True
    if value is not None:
        return name in VALUES_PASSED_OVER
    return name in {*KERNEL_OPTIONS, *OWN_OPTIONS} or name in OPPOSITES or name in PASSED_OVER


def parse_options(options: Iterable[str]) -> FuseOptions:
    """`-o` options, comma-separated and repeatable; later ones win. Raises OptionInvalid."""
    result = FuseOptions(os.getuid(), os.getgid())
    kernel: set[str] = set()
    for item in split(options):
        name, value = named(item)
        if value is not None and name in _PARSERS:
            ids: dict[str, Any] = {name: _PARSERS[name](value)}
            result = replace(result, **ids)
        elif name == "notify" and value is None:
            result = replace(result, notify=True)
        elif name in KERNEL_OPTIONS and value is None:
            kernel.add(name)
        elif name in OPPOSITES and value is None:
            kernel.discard(OPPOSITES[name])
        else:
            _check(item, name, value)
    if {"allow_other", "allow_root"} <= kernel:
        raise OptionInvalid("-o takes allow_other or allow_root, not both")
    return replace(result, kernel=frozenset(kernel))


def _check(item: str, name: str, value: str | None) -> None:
    """Raises OptionInvalid for what cannot be passed over."""
    if name in ("fsname", "subtype"):
        raise OptionInvalid(f"-o {name} cannot be set: it shows the function that is mounted")
    if name == "remount":
        raise OptionInvalid("-o remount: a mounted function keeps its options; umount it first")
    if not _is_plain(name, value):
        known = ", ".join(sorted({*KERNEL_OPTIONS, *OWN_OPTIONS, "uid=", "gid=", "umask="}))
        shown = name if value is None else f"{name}=…"  # it may be a key
        raise OptionInvalid(
            f"-o {shown} is not known; there are {known}, the options of `pifopfs mount --help` "
            "without their --, and those of mount(8) and systemd.mount(5) for every filesystem"
        )


def _uid(text: str) -> int:
    try:
        return _id("uid", text) if text.isdecimal() else pwd.getpwnam(text).pw_uid
    except KeyError:
        raise OptionInvalid(f"-o uid={text}: there is no such user") from None


def _gid(text: str) -> int:
    try:
        return _id("gid", text) if text.isdecimal() else grp.getgrnam(text).gr_gid
    except KeyError:
        raise OptionInvalid(f"-o gid={text}: there is no such group") from None


def _id(name: str, text: str) -> int:
    if len(text) > len(str(LARGEST_ID)) or int(text) > LARGEST_ID:
        raise OptionInvalid(f"-o {name}={text}: the largest number is {LARGEST_ID}")
    return int(text)


def _umask(text: str) -> int:
    try:
        mask = int(text, 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise OptionInvalid(f"-o umask={text}: it must be octal, such as 022")
    return mask


_PARSERS = {"uid": _uid, "gid": _gid, "umask": _umask}
