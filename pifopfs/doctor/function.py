"""What was asked about: how it is configured, and a folder's function.json."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from pifopfs.doctor.findings import Finding, ok, problem, warning
from pifopfs.doctor.subject import Subject
from pifopfs.errors import CredentialsInvalid, FunctionFileInvalid, OptionInvalid
from pifopfs.machine import LOCAL, NONE
from pifopfs.server.engines.finding import check_name
from pifopfs.server.function_file import FILE_NAME, ServedFunction, load_function
from pifopfs.server.sandbox.line import PATH

VISIBLE = ("/usr", "/bin", "/sbin", "/lib")
"""What a program in the sandbox sees of this machine, without `read_only`."""


def configured(subject: Subject) -> Iterator[Finding]:
    """Options, variables and files, as a mount would read them."""
    failure = subject.failure
    if failure is not None and not isinstance(failure, CredentialsInvalid):
        text, _, mend = str(failure).partition("; ")
        yield problem(text, mend or "mend the option, variable or file that is named")
    elif subject.mountpoint is not None and not (subject.function or subject.folder):
        yield warning(
            f"of the mount on {subject.mountpoint} no record is left, so its function is not known",
            "name the function in place of the mountpoint",
        )
    elif subject.folder is not None and (missing := _missing_engine(subject)):
        yield missing
    elif subject.function or subject.folder:
        yield ok(f"{subject.folder or subject.function} can be mounted as it is configured")
    else:
        yield ok("options, variables and files are right")


def _missing_engine(subject: Subject) -> Finding | None:
    try:
        check_name(subject.engine)
    except OptionInvalid as error:
        text, _, mend = str(error).partition("; ")
        return problem(text, f"install its package, or name another: {mend}")
    return None


def of_folder(subject: Subject) -> Iterator[Finding]:
    """A folder's function.json, and what it names on this machine, where its programs run here;
    nothing where none was named.
    """
    if subject.folder is None:
        return
    try:
        function = load_function(subject.folder)
    except FunctionFileInvalid as error:
        where = f"{error.path}: {error.field}" if error.field else str(error.path)
        yield problem(f"{where}: {error.problem}", error.mend)
        return
    path = subject.folder / FILE_NAME
    unwell: list[Finding] = []
    if subject.engine == LOCAL:
        unwell = [*_missing_paths(path, function), *_missing_program(subject, path, function)]
    yield from unwell or [ok(f"{path} is right")]


def _missing_paths(path: Path, function: ServedFunction) -> Iterator[Finding]:
    for each in function.sandbox.read_only:
        if not Path(each).exists():
            yield problem(
                f"{path}: sandbox.read_only: {each} is not there", "install it, or leave it out"
            )


def _missing_program(subject: Subject, path: Path, function: ServedFunction) -> Iterator[Finding]:
    name = function.command[0]
    if "/" not in name:
        found = shutil.which(name, path=PATH)
    else:
        program = function.folder / name
        found = str(program) if program.is_file() else None
    if found is None:
        yield problem(
            f"{path}: command: there is no program {name}",
            f"install it below /usr, or write its whole path (PATH is {PATH})",
        )
    elif subject.isolation != NONE and not _is_visible(found, function):
        yield problem(
            f"{path}: command: the sandbox hides {name}",
            'name its folder in sandbox.read_only: "sandbox": {"read_only": '
            f'["{Path(found).parent}"]}}',
        )


def _is_visible(found: str, function: ServedFunction) -> bool:
    seen = (*VISIBLE, *function.sandbox.read_only, str(function.folder))
    return any(Path(found).is_relative_to(top) for top in seen)
