"""`-i NAME=FILE` and `-o NAME=FILE`: what is refused, by its letters."""

from __future__ import annotations

from pathlib import Path

import pytest

from pifopfs.errors import OptionInvalid
from pifopfs.run.targets import is_stream
from pifopfs.run.wishes import Wish, check_declared, parse_inputs, parse_outputs
from pifopfs.wire import Function


def function(**parts: object) -> Function:
    return Function.from_json({"id": "tsp", "author": "joe", **parts})


def test_a_file_may_have_any_name() -> None:
    assert parse_inputs(["a=b=c", "é=./-", "x=-"]) == [
        Wish("a", Path("b=c")), Wish("é", Path("./-")), Wish("x", None),
    ]  # fmt: skip
    assert parse_inputs(["s=./-"])[0].path == Path("-")
    assert parse_inputs(["s=-"])[0].shown == "-"


@pytest.mark.parametrize("text", ["", "a", "=", "a=", "=b"])
def test_what_is_not_of_the_form(text: str) -> None:
    for parse in (parse_inputs, parse_outputs):
        with pytest.raises(OptionInvalid, match="NAME=FILE"):
            parse([text])


@pytest.mark.parametrize(
    "texts",
    [["a=x", "a=y"], ["a=-", "b=-"], ["a=x", "b=./x"], ["a=x", "b=link"]],
)
def test_outputs_that_would_meet(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("x")
    with pytest.raises(OptionInvalid, match="twice"):
        parse_outputs(texts)


def test_one_file_may_be_several_inputs_but_standard_input_only_one() -> None:
    assert len(parse_inputs(["a=x", "b=x"])) == 2
    with pytest.raises(OptionInvalid, match="standard input"):
        parse_inputs(["a=-", "b=-"])
    with pytest.raises(OptionInvalid, match="twice: a"):
        parse_inputs(["a=x", "a=y"])


def test_names_are_checked_where_the_function_tells_which_it_has() -> None:
    wish = [Wish("x", None)]
    check_declared(function(), wish, wish)
    check_declared(function(input=[{"id": "x"}], output=[{"id": "x"}]), wish, wish)
    with pytest.raises(OptionInvalid, match="joe/tsp has no input 'x'; there are: a, b"):
        check_declared(function(input=[{"id": "a"}, {"id": "b"}]), wish, [])
    with pytest.raises(OptionInvalid, match="no output 'x'; there are: none"):
        check_declared(function(output=[]), [], wish)


def test_what_can_take_an_output(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_stream(Wish("r", None))
    assert is_stream(Wish("r", Path("/dev/null")))
    assert not is_stream(Wish("r", tmp_path / "file"))
    assert not is_stream(Wish("r", tmp_path / "new"))
    for bad in (tmp_path, tmp_path / "no" / "where", tmp_path / "file" / "x"):
        with pytest.raises(OptionInvalid):
            is_stream(Wish("r", bad))
