"""function.json: what is right, and that every complaint names the file, the field and the mend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pifopfs.errors import FunctionFileInvalid
from pifopfs.server.function_file import load_function
from pifopfs.server.limits import Limits
from pifopfs.server.sandbox.settings import PLAIN, SandboxSettings
from pifopfs.wire import FileSpec
from tests.functions import EXAMPLES

GOOD: dict[str, Any] = {"id": "fn", "command": ["true"]}


def load(folder: Path, document: object) -> Any:
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / "function.json").write_text(text)
    return load_function(folder)


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    function = load(tmp_path, GOOD)
    assert (function.name, function.command) == ("local/fn", ("true",))
    assert function.input == function.output == ()
    assert function.document() == {"id": "fn", "author": "local", "input": [], "output": []}


def test_everything(tmp_path: Path) -> None:
    function = load(
        tmp_path,
        GOOD
        | {
            "author": "joe",
            "description": "does",
            "command": "a | b",
            "input": [{"id": "x", "path": "d/x.csv"}, {"id": "y"}],
            "output": [{"id": "r", "path": "./r.json"}],
        },
    )
    assert function.command == ("/bin/sh", "-c", "a | b")
    assert function.input == (FileSpec("x", "d/x.csv"), FileSpec("y", "y"))
    assert function.output == (FileSpec("r", "r.json"),)
    assert "command" not in function.document()


def test_limits_and_wishes(tmp_path: Path) -> None:
    more = {
        "limits": {"max_memory": 1.5, "max_time": 0.5, "max_processes": 7},
        "sandbox": {"read_only": ["/opt/a.b/..c"], "environment": {"A_1": "x y"}, "network": True},
    }
    function = load(tmp_path, GOOD | more)
    assert function.limits == Limits(memory=3 << 19, time=30, processes=7)
    assert function.sandbox == SandboxSettings(("/opt/a.b/..c",), {"A_1": "x y"}, network=True)
    assert load(tmp_path, GOOD).sandbox == PLAIN


def test_what_engines_are_told_is_kept_as_text(tmp_path: Path) -> None:
    options = {"partition": "gpu", "cpus": 4, "rate": 0.5, "extra": "--gres=gpu:1 --x"}
    function = load(tmp_path, GOOD | {"engines": {"slurm": options, "pbs": {}}})
    assert function.engines == {
        "slurm": {"partition": "gpu", "cpus": "4", "rate": "0.5", "extra": "--gres=gpu:1 --x"},
        "pbs": {},
    }
    assert "engines" not in function.document()
    assert load(tmp_path, GOOD).engines == {}


@pytest.mark.parametrize("example", ["tsp", "glpk"])
def test_the_examples_are_right(example: str) -> None:
    assert load_function(EXAMPLES / example).name == f"local/{example}"


BAD: dict[str, tuple[object, str]] = {
    "not JSON": ("{", "not JSON"),
    **{
        f"a limit of {value!r}": (
            GOOD | {"limits": {"max_time": value}},
            f"limits.max_time: {value!r} is no limit",
        )
        for value in (0, -1, "1", True, None, 1e300)
    },
    "half a process": (GOOD | {"limits": {"max_processes": 1.5}}, "limits.max_processes: 1.5"),
    "limits that are no object": (GOOD | {"limits": [1]}, "limits: it is not an object"),
    "an unknown limit": (GOOD | {"limits": {"max": 1}}, "limits.max: there is no such field"),
    "an unknown wish": (GOOD | {"sandbox": {"root": True}}, "sandbox.root: there is no such field"),
    "a network of 1": (GOOD | {"sandbox": {"network": 1}}, "sandbox.network: 1 is no answer"),
    **{
        f"{path!r} to read": (
            GOOD | {"sandbox": {"read_only": ["/opt", path]}},
            "sandbox.read_only[1]",
        )
        for path in ("opt", "/", "/opt/", "/opt/../etc", "/./opt", "//opt", "", 1, "/a\0")
    },
    "a path to read that is no list": (GOOD | {"sandbox": {"read_only": "/opt"}}, "not a list"),
    **{
        f"a variable {variable!r}": (
            GOOD | {"sandbox": {"environment": variable}},
            "sandbox.environment",
        )
        for variable in ([], {"A B": "x"}, {"A": 1}, {"A": "\0"}, {"": "x"}, {"1A": "x"})
    },
    "engines that are no object": (GOOD | {"engines": ["slurm"]}, "engines: it is not an object"),
    "an engine that is no object": (
        GOOD | {"engines": {"slurm": "gpu"}},
        "engines.slurm: it is not an object",
    ),
    **{
        f"an option {option!r} of an engine": (
            GOOD | {"engines": {"slurm": option}},
            "is no such value; write {",
        )
        for option in ({"a": None}, {"a": True}, {"a": [1]}, {"a": "\0"}, {"\ud800": "a"})
    },
    "nested too deeply": ("[" * 100_000, "not JSON"),
    "half a character in the command": (GOOD | {"command": ["\ud800"]}, "command: it is not"),
    "half a character in a line": (GOOD | {"command": "echo \udc00"}, "command: it is not"),
    "half a character in the text": (GOOD | {"description": "\ud800"}, "description: it is not"),
    "half a character in a path": (GOOD | {"input": [{"id": "x", "path": "\udc80"}]}, "].path"),
    "half a character in a field": (GOOD | {"\ud800": 1}, "\\ud800: there is no such field"),
    "a path below another": (
        GOOD | {"input": [{"id": "x", "path": "d"}, {"id": "y", "path": "d/y"}]},
        "input[1].path: 'd/y' is below 'd'",
    ),
    "an output below an input": (
        GOOD | {"input": [{"id": "d"}], "output": [{"id": "y", "path": "d/e/y"}]},
        "output[0].path: 'd/e/y' is below 'd'",
    ),
    "a path below the file itself": (
        GOOD | {"output": [{"id": "y", "path": "function.json/y"}]},
        "output[0].path",
    ),
    "not an object": ([], "not a JSON object"),
    "a name twice": ('{"id": "a", "id": "b"}', "id: it is given twice"),
    "too long": (" " * (2 << 20), "1 MiB"),
    "no id": ({"command": ["true"]}, "id: it is missing"),
    "id is a number": (GOOD | {"id": 1}, "id: 1 is not a name"),
    "id with a slash": (GOOD | {"id": "a/b"}, "id:"),
    "id of dots": (GOOD | {"id": ".."}, "id:"),
    "id too long": (GOOD | {"id": "x" * 65}, "id:"),
    "author with a blank": (GOOD | {"author": "a b"}, "author:"),
    "no command": ({"id": "fn"}, "command: it is missing"),
    "empty command": (GOOD | {"command": []}, "command: it is not a command"),
    "blank command": (GOOD | {"command": "  "}, "command: it is not a command"),
    "empty program": (GOOD | {"command": [""]}, "command: it is not a command"),
    "number in a command": (GOOD | {"command": ["a", 1]}, "command: it is not a command"),
    "NUL in a command": (GOOD | {"command": ["a\0b"]}, "command: it is not a command"),
    "description": (GOOD | {"description": 1}, "description: it is not text"),
    "input is no list": (GOOD | {"input": {}}, "input: it is not a list"),
    "input is no object": (GOOD | {"input": ["x"]}, "input[0]: it is not an object"),
    "input without id": (GOOD | {"input": [{"path": "x"}]}, "input[0].id: it is missing"),
    "input twice": (GOOD | {"input": [{"id": "x"}, {"id": "x", "path": "y"}]}, "input[1].id"),
    "path twice": (GOOD | {"output": [{"id": "x", "path": "y"}, {"id": "y"}]}, "output[1].path"),
    "path above": (GOOD | {"input": [{"id": "x", "path": "../x"}]}, "leaves the function's folder"),
    "path absolute": (GOOD | {"output": [{"id": "x", "path": "/x"}]}, "leaves the function's"),
    "path of a folder": (GOOD | {"output": [{"id": "x", "path": "x/"}]}, "not the path of a file"),
    "path is empty": (GOOD | {"output": [{"id": "x", "path": ""}]}, "output[0].path"),
    "path is a dot": (GOOD | {"output": [{"id": "x", "path": "."}]}, "output[0].path"),
    "path with NUL": (GOOD | {"output": [{"id": "x", "path": "a\0"}]}, "output[0].path"),
    "path is the file itself": (GOOD | {"input": [{"id": "function.json"}]}, "itself"),
    "unknown field": (GOOD | {"comand": "x"}, "comand: there is no such field"),
    "unknown field of an input": (GOOD | {"input": [{"id": "x", "pat": "y"}]}, "input[0].pat"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_right(tmp_path: Path, case: str) -> None:
    document, words = BAD[case]
    with pytest.raises(FunctionFileInvalid) as raised:
        load(tmp_path, document)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path}/function.json: ")
    assert words in message
    assert "; " in message  # the mend
    message.encode()


def test_a_file_that_is_not_there_or_not_readable(tmp_path: Path) -> None:
    with pytest.raises(FunctionFileInvalid, match="no such file"):
        load_function(tmp_path)
    (tmp_path / "function.json").mkdir()
    with pytest.raises(FunctionFileInvalid, match="cannot be read"):
        load_function(tmp_path)
