"""What goes on beside the requests of a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import trio
import trio.testing

from pifopfs.server.site import _ensure_masters


class Churning:
    """A root whose folders vanish during the first look."""

    def __init__(self) -> None:
        self.looks = 0

    def names(self) -> list[tuple[str, str]]:
        self.looks += 1
        if self.looks == 1:
            raise FileNotFoundError(2, "No such file or directory", "ROOT/gone")
        return [("joe", "fn")]


class Made:
    def __init__(self) -> None:
        self.names: list[tuple[str, str]] = []

    def ensure_masters(self, names: Iterable[tuple[str, str]]) -> None:
        self.names += names


async def test_regression_a_folder_that_vanishes_during_a_look_ends_no_server(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Functions that were deployed or removed ended it with all that ran on it."""
    keys: Any = Made()
    catalog: Any = Churning()
    with trio.move_on_after(11):
        await _ensure_masters(keys, catalog)
    assert keys.names == [("joe", "fn")]
    assert "cannot be made yet" in caplog.text
