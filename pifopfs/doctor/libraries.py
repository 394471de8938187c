"""Python and the libraries, against what the package says that it needs."""

from __future__ import annotations

import ctypes
import platform
import re
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

from pifopfs.doctor.findings import Finding, ok, problem, skipped
from pifopfs.doctor.subject import Subject
from pifopfs.errors import FuseLibraryMissing

PACKAGE = "pifopfs"
LIBRARY = re.compile(rb"(/\S*/libfuse3\.so\S*)")


def python(_: Subject) -> Iterator[Finding]:
    """The interpreter that runs this."""
    version = platform.python_version()
    try:
        needed = str(metadata.metadata(PACKAGE).json.get("requires_python", ""))
    except metadata.PackageNotFoundError:
        yield _not_installed()
        return
    if SpecifierSet(needed).contains(version, prereleases=True):
        yield ok(f"Python {version}")
    else:
        yield problem(
            f"Python {version} is not {needed}",
            f"install one that is, and {PACKAGE} with it: pipx install --python python3 {PACKAGE}",
        )


def libraries(_: Subject) -> Iterator[Finding]:
    """Everything that is needed, and what that needs."""
    try:
        wanted = _needed_by(PACKAGE, set())
    except metadata.PackageNotFoundError:
        yield _not_installed()
        return
    versions: dict[str, str] = {}
    found: list[Finding] = []
    pending, seen = [(PACKAGE, each) for each in wanted], {PACKAGE}
    while pending:
        by, requirement = pending.pop(0)
        finding = _compared(by, requirement, versions)
        if finding is not None:
            found.append(finding)
        elif requirement.name not in seen:
            seen.add(requirement.name)
            further = _needed_by(requirement.name, requirement.extras)
            pending += [(requirement.name, each) for each in further]
    yield from found
    if not found:
        named = ", ".join(f"{each.name} {versions[each.name]}" for each in wanted)
        yield ok(f"{len(versions)} libraries are as new as is needed: {named}")


def _needed_by(name: str, extras: set[str]) -> list[Requirement]:
    """The requirements of a package that count here. Raises PackageNotFoundError."""
    needed = []
    for line in metadata.requires(name) or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # of an old package, whose like pip does not read either
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            needed.append(requirement)
    return needed


def _compared(by: str, requirement: Requirement, versions: dict[str, str]) -> Finding | None:
    """What is wrong with one; `versions` gets which is there."""
    bare = Requirement(str(requirement))
    bare.marker = None
    mend = f"pip install '{bare}' into the same environment, or install {PACKAGE} anew"
    try:
        version = metadata.version(requirement.name)
        enough = requirement.specifier.contains(version, prereleases=True)
    except metadata.PackageNotFoundError:
        return problem(f"{requirement.name} is not installed, and {by} needs it", mend)
    except InvalidVersion:
        return problem(f"{requirement.name} has a version that is none", mend)
    versions[requirement.name] = version
    if enough:
        return None
    return problem(f"{requirement.name} is {version}, and {by} needs {requirement.specifier}", mend)


def _not_installed() -> Finding:
    return skipped(f"{PACKAGE} runs without being installed, so nothing says what it needs")


def libfuse(_: Subject) -> Iterator[Finding]:
    """Whether pyfuse3 finds the system's library, and which that is."""
    try:
        import_module("pifopfs.fuse")
    except ImportError as error:
        yield problem(f"pyfuse3 cannot be loaded: {error}", FuseLibraryMissing.advice)
        return
    yield ok(f"pyfuse3 {metadata.version('pyfuse3')}{_library()}")


def _library() -> str:
    """The libfuse that it uses, and its version."""
    found = LIBRARY.search(Path("/proc/self/maps").read_bytes())
    if found is None:
        return ""
    path = found[1].decode()
    tells = ctypes.CDLL(path).fuse_pkgversion
    tells.restype = ctypes.c_char_p
    return f" with libfuse {tells().decode()} ({path})"
