"""Logs: UTF-8 whatever a program prints, readable from any byte on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pifopfs.server.logs import GAP, LogReader, LogWriter


def read_log(path: Path, offset: int, limit: int | None = None) -> tuple[int, str]:
    """Where the part from a byte on begins, and what is in it."""
    with closing(LogReader(path)) as reader:
        span = reader.span(offset, limit)
        assert "".join(map(reader.text, reader.spans(span, 5))) == reader.text(span)
        return span.start, reader.text(span)


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
    assert read_log(path, 0)[1] == "x\ufffd\npifopfs: that was all\n\ufffdy"


def test_what_comes_after_the_limit_is_counted_and_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with LogWriter(path, 10) as log:
        for _ in range(1000):
            log.write(b"ab\ncd")
    assert read_log(path, 0)[1] == "ab\ncdab\ncd\npifopfs: [log truncated: 4990 bytes dropped]\n"


def test_regression_the_limit_counts_what_is_kept_and_not_what_was_printed(tmp_path: Path) -> None:
    """A byte that is no character takes three: a log grew to three times its limit."""
    path = tmp_path / "log"
    with LogWriter(path, 10) as log:
        log.write(b"\xff" * 100)
        log.write(b"a")
    assert read_log(path, 0)[1] == "\ufffd" * 3 + "\npifopfs: [log truncated: 292 bytes dropped]\n"


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


@given(text=st.text(max_size=60), limit=st.integers(8, 40))
def test_a_log_asked_for_in_pieces_is_the_whole(
    tmp_path_factory: object, text: str, limit: int
) -> None:
    folder = tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    path = written(folder, text.encode("utf-8", "replace"))
    whole, offset = b"", 0
    while piece := read_log(path, offset, limit)[1].encode():
        assert len(piece) <= limit + 3
        whole, offset = whole + piece, offset + len(piece)
    assert whole == path.read_bytes()


@pytest.mark.parametrize("make", [None, os.mkfifo, os.mkdir, lambda log: log.symlink_to("/")])
def test_regression_a_log_that_its_program_has_removed_is_empty(
    tmp_path: Path, make: Callable[[Path], object] | None
) -> None:
    if make is not None:
        make(tmp_path / "log")
    assert read_log(tmp_path / "log", 5) == (0, "")


def test_regression_a_full_disk_costs_output_and_not_the_run(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    with LogWriter(path) as log:
        log.write(b"before\n")
        file, written = log._file, log._file.write

        class Full:
            fileno = staticmethod(file.fileno)

            def write(self, data: memoryview) -> int:
                written(bytes(data[:2]))
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        log._file = Full()  # type: ignore[assignment]
        log.write("grün\n".encode())
        log._file = file
        assert path.read_bytes() == b"before\n"
        log.write(b"after\n")
    assert path.read_text() == f"before\n{GAP}after\n"
