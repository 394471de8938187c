"""The API's documents: lenient where it promises nothing, strict where it does."""

from __future__ import annotations

import pytest

from pifopfs import wire


def test_an_execution_keeps_what_it_does_not_know() -> None:
    document = {"id": "e", "status": "ended", "end_reason": "bad-weather", "new": [1], "log": "x"}
    execution = wire.Execution.from_json(document)
    assert execution.end_reason == "bad-weather"
    assert execution.document["new"] == [1]
    assert "log" not in execution.document
    assert (execution.output, execution.exit_code, execution.stopped) == (None, None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", None), ("id", 1), ("status", None), ("status", "flying"), ("exit_code", True),
     ("exit_code", "0"), ("output", "r"), ("output", [{"path": "x"}]), ("stopped", 1)],
)  # fmt: skip
def test_an_execution_that_breaks_the_promises(field: str, value: object) -> None:
    with pytest.raises(wire.MalformedDocument):
        wire.Execution.from_json({"id": "e", "status": "ended", field: value})


@pytest.mark.parametrize(
    ("told", "known"),
    [(0, 0), (12, 12), (None, None), (-1, None), ("3", None), (True, None), (1.5, None)],
)
def test_a_position_in_a_queue_is_told_or_not(told: object, known: object) -> None:
    document = {"id": "e", "status": "running", "queue_position": told}
    execution = wire.Execution.from_json(document)
    assert execution.queue_position == known
    assert execution.document["queue_position"] == told
    assert wire.Execution.from_json({"id": "e", "status": "running"}).queue_position is None


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_what_is_no_object(document: object) -> None:
    for kind in (wire.Function, wire.Execution, wire.LogPiece, wire.InputInfo, wire.ApiKeyInfo):
        with pytest.raises(wire.MalformedDocument, match="not a JSON object"):
            kind.from_json(document)


def test_a_piece_of_log_is_bytes_and_an_offset() -> None:
    document = {"id": "e", "status": "running", "log": "ü", "log_offset": 7}
    piece = wire.LogPiece.from_json(document)
    assert (piece.offset, piece.content) == (7, b"\xc3\xbc")
    for wrong in ({"log_offset": -1}, {"log": None}, {"log": 1}):
        with pytest.raises(wire.MalformedDocument):
            wire.LogPiece.from_json(document | wrong)


def test_a_function_without_declared_files() -> None:
    function = wire.Function.from_json({"id": "tsp", "author": "joe"})
    assert function.input is None
    assert function.output is None


def test_a_key_is_not_in_the_repr_of_its_document() -> None:
    info = wire.ApiKeyInfo.from_json({"name": "eve", "key": "apikey_secret", "max_time": 1})
    assert "secret" not in repr(info)
    assert info.max_time == 1.0
    assert info.max_memory is None


@pytest.mark.parametrize(
    ("told", "size"),
    [(0, 0), (1 << 40, 1 << 40), (None, None), (-1, None), ("7", None), (True, None), (1.5, None)],
)
def test_the_size_of_an_output_is_told_or_not(told: object, size: int | None) -> None:
    document = {"id": "r", "path": "r.txt", "size": told}
    assert wire.FileSpec.from_json(document) == wire.FileSpec("r", "r.txt", size)
    assert wire.FileSpec.from_json({"id": "r"}).size is None


def test_a_size_that_is_not_known_is_not_told() -> None:
    assert wire.FileSpec("r", "r.txt").to_json() == {"id": "r", "path": "r.txt"}
    assert wire.FileSpec("r", "r.txt", 0).to_json() == {"id": "r", "path": "r.txt", "size": 0}


@pytest.mark.parametrize(("told", "known"), [(3, 3), (None, None), ("3", None), (0, None)])
def test_a_limit_of_executions_that_makes_no_sense_is_not_told(told: object, known: object) -> None:
    document = {"id": "tsp", "author": "joe", "max_executions": told}
    assert wire.Function.from_json(document).max_executions == known
