"""The checks, as data: what `pifopfs doctor` looks at, in the order in which it tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pifopfs.doctor import (
    folders,
    function,
    fuse,
    libraries,
    mounts,
    sandboxing,
    service,
    surroundings,
)
from pifopfs.doctor.findings import Finding
from pifopfs.doctor.subject import Subject


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. Looking changes nothing, and may raise OSError."""

    group: str
    """Under which heading it is told."""
    name: str
    """By which programs know it: it stays."""
    look: Callable[[Subject], Iterable[Finding]]
    asks: bool = False
    """It judges what the service has answered, so it waits for that."""


CHECKS = (
    Check("FUSE", "fuse-device", fuse.device),
    Check("FUSE", "fusermount", fuse.helper),
    Check("FUSE", "mount-right", fuse.right_to_mount),
    Check("FUSE", "allow-other", fuse.allow_other),
    Check("FUSE", "kernel", fuse.kernel),
    Check("Libraries", "python", libraries.python),
    Check("Libraries", "libraries", libraries.libraries),
    Check("Libraries", "libfuse", libraries.libfuse),
    Check("Surroundings", "container", surroundings.in_container),
    Check("Surroundings", "propagation", surroundings.propagation),
    Check("Surroundings", "open-files", surroundings.open_files),
    Check("Functions in folders", "bubblewrap", sandboxing.bubblewrap),
    Check("Functions in folders", "user-namespaces", sandboxing.user_namespaces),
    Check("Functions in folders", "sandbox", sandboxing.sandbox),
    Check("Functions in folders", "memory-guard", sandboxing.memory_guard),
    Check("Functions in folders", "function-file", function.of_folder),
    Check("Files", "state-folder", folders.state),
    Check("Files", "cache-folder", folders.cache),
    Check("Files", "runtime-folder", folders.runtime),
    Check("Mounts", "mounts", mounts.all_mounts),
    Check("The service", "configuration", function.configured, asks=True),
    Check("The service", "dns", service.lookup, asks=True),
    Check("The service", "proxy", service.proxy, asks=True),
    Check("The service", "tls", service.tls, asks=True),
    Check("The service", "service", service.answer, asks=True),
    Check("The service", "clock", service.clock, asks=True),
    Check("The service", "key", service.key, asks=True),
    Check("The service", "function", service.function, asks=True),
)
