"""Logs: UTF-8 whatever a program prints, readable from any byte on."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pifopfs.server.logs import LogWriter, read_log


def written(folder: Path, *pieces: bytes) -> Path:
    path = folder / "log"
    path.unlink(missing_ok=True)
    with LogWriter(path) as log:
        for piece in pieces:
            log.write(piece)
    return path


def test_a_character_that_comes_in_pieces_is_one(tmp_path: Path) -> None:
    path = written(tmp_path, b"gr\xc3", b"\xbcn \xe2", b"\x82", b"\xac")
    assert read_log(path, 0) == (0, "grün €")


def test_bad_bytes_are_replaced(tmp_path: Path) -> None:
    assert read_log(written(tmp_path, b"a\xffb\xc3"), 0) == (0, "a\ufffdb\ufffd")


def test_a_note_of_the_server_ends_a_character_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with LogWriter(path) as log:
        log.write(b"x\xc3")
        log.note("that was all")
        log.write(b"\xbcy")
    assert read_log(path, 0)[1] == "x\ufffdpifopfs: that was all\n\ufffdy"


def test_an_offset_past_the_end_is_the_end(tmp_path: Path) -> None:
    assert read_log(written(tmp_path, b"abc"), 99) == (3, "")


@given(pieces=st.lists(st.binary(max_size=20), max_size=8), data=st.data())
def test_any_output_read_from_any_offset_on_makes_the_whole(
    tmp_path_factory: object, pieces: list[bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    path = written(folder, *pieces)
    whole = path.read_bytes()
    assert whole.decode() == b"".join(pieces).decode("utf-8", "replace")
    offset = data.draw(st.integers(0, len(whole) + 3))
    at, text = read_log(path, offset)
    assert at <= offset
    assert offset - at < 4 or offset > len(whole)
    assert whole[:at] + text.encode() == whole
