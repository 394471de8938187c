"""The options of `-o`, as for any filesystem: what the daemon applies, and what the kernel does."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pifopfs.errors import OptionInvalid

LARGEST_ID = 2**32 - 2
"""Of users and groups; the number after it means none."""

KERNEL_OPTIONS = {"ro", "noexec", "noatime", "allow_other", "allow_root", "sync", "dirsync"}
DEFAULT_OPTIONS = {"rw", "nosuid", "nodev", "default_permissions", "defaults", ""}
"""Always so, or the default: nothing to pass on."""


@dataclass(frozen=True, slots=True)
class FuseOptions:
    """The meaning of `-o`: what the daemon applies, and what goes to the kernel."""

    uid: int
    gid: int
    umask: int = 0o077
    kernel: frozenset[str] = frozenset()


def parse_options(options: Iterable[str]) -> FuseOptions:
    """`-o` options, comma-separated and repeatable. Raises OptionInvalid."""
    result = FuseOptions(os.getuid(), os.getgid())
    kernel: set[str] = set()
    for option in ",".join(options).split(","):
        name, equals, value = option.strip().partition("=")
        if name in ("uid", "gid", "umask") and equals:
            ids: dict[str, Any] = {name: _PARSERS[name](value)}
            result = replace(result, **ids)
        elif name in ("fsname", "subtype"):
            raise OptionInvalid(f"-o {name} cannot be set: it shows the function that is mounted")
        elif name in KERNEL_OPTIONS and not equals:
            kernel.add(name)
        elif name not in DEFAULT_OPTIONS:
            known = ", ".join(sorted({*KERNEL_OPTIONS, "uid=", "gid=", "umask="}))
            raise OptionInvalid(f"-o {option} is not known; there are {known}")
    if {"allow_other", "allow_root"} <= kernel:
        raise OptionInvalid("-o takes allow_other or allow_root, not both")
    return replace(result, kernel=frozenset(kernel))


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
