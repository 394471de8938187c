"""Bars for transfers, with rich, which is loaded only for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from pifopfs.cli.texts import shown
from pifopfs.run.sources import Transfer


class _Bars(Progress):
    """Looks how far they are each time it draws."""

    def __init__(self, verb: str, transfers: Sequence[Transfer], least: int) -> None:
        self._least = least
        self._moved: dict[TaskID, Transfer] = {}
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        for transfer in transfers:
            text = f"{verb} {escape(shown(transfer.name))}"
            self._moved[self.add_task(text, total=None, visible=False)] = transfer

    def get_renderables(self) -> Iterable[RenderableType]:
        for task, transfer in self._moved.items():
            done = transfer.progress.position
            visible = done >= self._least or (transfer.size or 0) >= self._least
            self.update(task, total=transfer.size, completed=done, visible=visible)
        return super().get_renderables()


@contextmanager
def bars(verb: str, transfers: Sequence[Transfer], least: int) -> Iterator[None]:
    """Show those of so many bytes at least on stderr while the block runs."""
    with _Bars(verb, transfers, least):
        yield
