"""Executions as arguments name them, by their letters."""

from __future__ import annotations

from pathlib import Path

import pytest

from pifopfs.cli import naming
from pifopfs.cli.naming import AtService, InMount, find
from pifopfs.errors import FunctionArgumentInvalid, OptionInvalid
from pifopfs.machine import Mounted


@pytest.fixture(autouse=True)
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount on mnt, which no test could touch: it is not there."""
    here = Mounted(tmp_path / "mnt", "fuse.pifopfs", "joe/tsp")
    monkeypatch.setattr(naming, "find_mount", lambda at: here if at == here.mountpoint else None)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "text", ["mnt/executions/j", "./mnt/executions/j/", "x/../mnt/executions/j"]
)
def test_a_path_in_a_mount(text: str, tmp_path: Path) -> None:
    assert find([text]) == [InMount(text, tmp_path / "mnt" / "executions" / "j")]


def test_several_paths_also_where_a_name_looks_like_an_id() -> None:
    found = find(["mnt/executions/a", "mnt/executions/exec_1"])
    assert isinstance(found, list)
    assert [each.folder.name for each in found] == ["a", "exec_1"]


def test_a_function_and_ids() -> None:
    assert find(["joe/tsp", "exec_1", "exec_2"]) == AtService("joe/tsp", ("exec_1", "exec_2"))
    assert isinstance(find(["example:tsp", "exec_1"]), AtService)
    with pytest.raises(FunctionArgumentInvalid):
        find(["tsp", "exec_1"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere"], ["joe/tsp"], ["mnt"], ["mnt/executions"], ["/tmp/executions/x"],
        ["joe/tsp", "j"], ["mnt/executions/j", "exec_1"], ["mnt/executions/j/log"],
    ],
)  # fmt: skip
def test_what_names_none(arguments: list[str]) -> None:
    with pytest.raises(OptionInvalid, match="MOUNTPOINT/executions/NAME"):
        find(arguments)
