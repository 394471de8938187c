"""`function.json`: what a function is, validated.

    {"id": "tsp", "author": "joe", "description": "…", "command": ["python3", "tsp.py"],
     "input": [{"id": "coords", "path": "coords.csv"}], "output": [{"id": "result"}]}

`id` and `command` are required. A command is a list of arguments, or a line for the shell. Paths
are relative to the function's folder; without one the id is the path. `limits` lowers the server's,
`sandbox` asks for more than the plain one: see `limits` and `sandbox.settings`. `engines` holds
what each engine is told of it; whether that is right, the engine itself knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from pifopfs.errors import FunctionFileInvalid
from pifopfs.server.limits import MOST, NONE, UNITS, Limits
from pifopfs.server.sandbox.settings import PLAIN, SandboxSettings
from pifopfs.wire import FileSpec

FILE_NAME = "function.json"
LOCAL_AUTHOR = "local"
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
FIELDS = {
    "id", "author", "description", "command", "input", "output", "limits", "sandbox", "engines",
}  # fmt: skip
NORMAL_PATH = re.compile(r"(/(?!\.{0,2}(/|$))[^/]+)+")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SHAPE = 'write [{"id": "…", "path": "…"}, …]'
LARGEST = 1 << 20
READ = 16
"""Functions whose description is kept as it was read."""


@dataclass(frozen=True, slots=True)
class ServedFunction:
    """A function that the server can run."""

    author: str
    id: str
    folder: Path
    command: tuple[str, ...]
    input: tuple[FileSpec, ...]
    output: tuple[FileSpec, ...]
    description: str | None = None
    limits: Limits = NONE
    sandbox: SandboxSettings = PLAIN
    engines: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What it asks of engines, by their names."""

    @property
    def name(self) -> str:
        return f"{self.author}/{self.id}"

    def document(self) -> dict[str, Any]:
        """The Function object: what callers may know, so never the command."""
        document: dict[str, Any] = {"id": self.id, "author": self.author}
        if self.description is not None:
            document["description"] = self.description
        document["input"] = [spec.to_json() for spec in self.input]
        document["output"] = [spec.to_json() for spec in self.output]
        return document


def load_function(folder: Path) -> ServedFunction:
    """Read and validate the `function.json` of a folder. Raises FunctionFileInvalid."""
    return _read(folder, _content(folder / FILE_NAME))


def _content(path: Path) -> bytes:
    """Of a function.json, however long. Raises FunctionFileInvalid."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except FileNotFoundError as error:
        mend = "write one: see the section on folders in README"
        raise FunctionFileInvalid(path, "", "there is no such file", mend) from error
    except OSError as error:
        problem = f"it cannot be read ({error.strerror})"
        raise FunctionFileInvalid(path, "", problem, "check its permissions") from error


@lru_cache(maxsize=READ)
def _read(folder: Path, content: bytes) -> ServedFunction:
    """What a function.json says. Every request looks, and finds the same as the one before."""
    return _Reader(folder, content).function()


class _Reader:
    """Validates one file; every complaint names it, the field, and the mend."""

    def __init__(self, folder: Path, content: bytes) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._fields = self._parsed(content)

    def _bad(self, field: str, problem: str, mend: str) -> NoReturn:
        printable = field.encode("utf-8", "backslashreplace").decode()
        raise FunctionFileInvalid(self._path, printable, problem, mend)

    def _parsed(self, text: bytes) -> Mapping[str, Any]:
        if len(text) > LARGEST:
            self._bad("", "it is longer than 1 MiB", "keep only the function's description in it")
        try:
            document = json.loads(text, object_pairs_hook=self._unique)
        except ValueError as error:
            self._bad("", f"it is not JSON ({error})", "mend the syntax")
        except RecursionError:
            self._bad("", "it is not JSON (it is nested too deeply)", "mend the syntax")
        if not isinstance(document, dict):
            self._bad("", "it is not a JSON object", 'write {"id": …, "command": …}')
        return document

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                self._bad(name, "it is given twice", "leave one of them out")
        return dict(pairs)

    def function(self) -> ServedFunction:
        for name in self._fields.keys() - FIELDS:
            known = ", ".join(sorted(FIELDS))
            self._bad(name, "there is no such field", f"use only {known}")
        input_, output = self._files("input"), self._files("output")
        self._check_apart({"input": input_, "output": output})
        return ServedFunction(
            author=self._id(self._fields.get("author", LOCAL_AUTHOR), "author"),
            id=self._id(self._fields.get("id"), "id"),
            folder=self._folder,
            command=self._command(),
            input=input_,
            output=output,
            description=self._description(),
            limits=self._limits(),
            sandbox=self._sandbox(),
            engines=self._engines(),
        )

    def _id(self, value: Any, field: str) -> str:
        if value is None:
            self._bad(field, "it is missing", 'add it, such as "id": "tsp"')
        if not isinstance(value, str) or not ID.fullmatch(value) or value in (".", ".."):
            self._bad(
                field,
                f"{value!r} is not a name",
                "use 1 to 64 letters, digits, dots, hyphens and underscores",
            )
        return value

    def _command(self) -> tuple[str, ...]:
        command = self._fields.get("command")
        if isinstance(command, str) and command.strip() and _is_plain(command):
            return ("/bin/sh", "-c", command)
        words = command if isinstance(command, list) else []
        if not (words and all(_is_plain(word) for word in words) and words[0]):
            problem = "it is missing" if command is None else "it is not a command"
            self._bad("command", problem, 'write ["program", "argument", …] or "a line of shell"')
        return tuple(words)

    def _description(self) -> str | None:
        text = self._fields.get("description")
        if text is not None and not (isinstance(text, str) and _is_unicode(text)):
            self._bad("description", "it is not text", "write it in quotes, in UTF-8")
        return text

    def _object(self, field: str, known: Iterable[str]) -> Mapping[str, Any]:
        """A field that is an object with none but these fields, or absent."""
        value, known = self._fields.get(field, {}), set(known)
        names = ", ".join(sorted(known))
        if not isinstance(value, dict):
            self._bad(field, "it is not an object", f"write {{…}} with any of {names}")
        for name in value.keys() - known:
            self._bad(f"{field}.{name}", "there is no such field", f"use only {names}")
        return value

    def _limits(self) -> Limits:
        given = self._object("limits", UNITS)
        for name, value in given.items():
            if not _is_number(value) or not 0 < value < MOST:
                mend = "write a number above 0, in megabytes or minutes"
                self._bad(f"limits.{name}", f"{value!r} is no limit", mend)
        processes = given.get("max_processes", 1)
        if processes != int(processes):
            self._bad("limits.max_processes", f"{processes!r} is no limit", "write a whole number")
        return Limits.of(given)

    def _sandbox(self) -> SandboxSettings:
        given = self._object("sandbox", (field.name for field in fields(SandboxSettings)))
        for name in ("network", "terminal"):
            if not isinstance(given.get(name, False), bool):
                self._bad(f"sandbox.{name}", f"{given[name]!r} is no answer", "write true or false")
        return SandboxSettings(
            read_only=self._read_only(given.get("read_only", [])),
            environment=self._environment(given.get("environment", {})),
            network=given.get("network", False),
            terminal=given.get("terminal", False),
        )

    def _read_only(self, paths: Any) -> tuple[str, ...]:
        mend = 'write absolute paths, such as ["/opt/solver"]'
        if not isinstance(paths, list):
            self._bad("sandbox.read_only", "it is not a list", mend)
        for n, path in enumerate(paths):
            if not _is_plain(path) or not NORMAL_PATH.fullmatch(path):
                self._bad(f"sandbox.read_only[{n}]", f"{path!r} is not such a path", mend)
        return tuple(paths)

    def _environment(self, variables: Any) -> Mapping[str, str]:
        if not isinstance(variables, dict):
            self._bad("sandbox.environment", "it is not an object", 'write {"NAME": "value"}')
        for name, value in variables.items():
            if not VARIABLE.fullmatch(name) or not _is_plain(value):
                mend = 'write "NAME": "value", in letters, digits and underscores'
                self._bad(f"sandbox.environment.{name}", "it is not a variable", mend)
        return variables

    def _engines(self) -> Mapping[str, Mapping[str, str]]:
        engines = self._fields.get("engines", {})
        mend = 'write {"slurm": {"partition": "…", "cpus": 4}}, with texts and numbers'
        if not isinstance(engines, dict):
            self._bad("engines", "it is not an object", mend)
        for engine, options in engines.items():
            if not isinstance(options, dict):
                self._bad(f"engines.{engine}", "it is not an object", mend)
            for name, value in options.items():
                if not _is_plain(name) or not (_is_number(value) or _is_plain(value)):
                    self._bad(f"engines.{engine}.{name}", f"{value!r} is no such value", mend)
        return {
            engine: {name: str(value) for name, value in options.items()}
            for engine, options in engines.items()
        }

    def _files(self, field: str) -> tuple[FileSpec, ...]:
        items = self._fields.get(field, [])
        if not isinstance(items, list):
            self._bad(field, "it is not a list", SHAPE)
        files = tuple(self._file(item, f"{field}[{n}]") for n, item in enumerate(items))
        for attribute in ("id", "path"):
            seen: set[str] = set()
            for n, spec in enumerate(files):
                value = getattr(spec, attribute)
                if value in seen:
                    self._bad(f"{field}[{n}].{attribute}", f"{value!r} is there twice", "change it")
                seen.add(value)
        return files

    def _check_apart(self, files: Mapping[str, tuple[FileSpec, ...]]) -> None:
        """No path is that of a folder in which another one is."""
        paths = {FILE_NAME} | {spec.path for specs in files.values() for spec in specs if spec.path}
        for name, specs in files.items():
            for n, spec in enumerate(specs):
                above = {str(parent) for parent in PurePosixPath(spec.path or "").parents} & paths
                if above:
                    problem = f"{spec.path!r} is below {above.pop()!r}, which is a file"
                    self._bad(f"{name}[{n}].path", problem, "change one of them")

    def _file(self, item: Any, field: str) -> FileSpec:
        if not isinstance(item, dict):
            self._bad(field, "it is not an object", SHAPE)
        for name in item.keys() - {"id", "path"}:
            self._bad(f"{field}.{name}", "there is no such field", "use only id, path")
        id_ = self._id(item.get("id"), f"{field}.id")
        return FileSpec(id_, self._relative(item.get("path", id_), f"{field}.path"))

    def _relative(self, value: Any, field: str) -> str:
        mend = "write a path below the function's folder, such as data/coords.csv"
        if not _is_plain(value) or not value or value.endswith("/"):
            self._bad(field, f"{value!r} is not the path of a file", mend)
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            self._bad(field, f"{value!r} leaves the function's folder", mend)
        if path == PurePosixPath(FILE_NAME):
            self._bad(field, f"{value!r} is the description itself", mend)
        return str(path)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_plain(value: Any) -> bool:
    """Whether it is text that the system takes as an argument or a path."""
    return isinstance(value, str) and "\0" not in value and _is_unicode(value)


def _is_unicode(text: str) -> bool:
    """JSON can hold halves of characters, which no file and no answer can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
