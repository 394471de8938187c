"""What goes on beside the requests of a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import trio

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
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """Functions that were deployed or removed ended it with all that ran on it."""
    keys: Any = Made()
    catalog: Any = Churning()
    nursery.start_soon(_ensure_masters, keys, catalog, 0.01)
    with trio.fail_after(10):
        while not keys.names:  # noqa: ASYNC110
            await trio.sleep(0.01)
    assert keys.names[0] == ("joe", "fn")
    assert "cannot be made yet" in caplog.text
