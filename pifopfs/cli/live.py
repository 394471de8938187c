"""A table that is drawn anew each second, with rich, which is loaded only for it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import NoReturn

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from pifopfs.cli.ends import die_by
from pifopfs.cli.pages import Page
from pifopfs.cli.tables import lines

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MARGIN = 3
"""Lines of the screen that are no rows."""


class _Ended(BaseException):
    """By a signal."""

    def __init__(self, number: signal.Signals) -> None:
        self.signal = number


def show_live(look: Callable[[int | None], Page], interval: float) -> None:
    """Until a signal. `look` gets how many rows there is room for. Raises what it raises."""
    for number in SIGNALS:  # the screen is to be given back
        if signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGINT:
            signal.signal(number, _end)
    console = Console()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_drawn(look(_room(console)), console), refresh=True)
                time.sleep(interval)
    except _Ended as end:
        die_by(end.signal)


def _end(number: int, _: object) -> NoReturn:
    raise _Ended(signal.Signals(number))


def _room(console: Console) -> int:
    return max(1, console.height - MARGIN)


def _drawn(page: Page, console: Console) -> RenderableType:
    room = _room(console)
    title, *rows = lines(page.titles, page.rows[:room])
    hidden = page.total - len(rows)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{title}\n", "bold")
    text.append("\n".join(rows))
    if hidden > 0:
        text.append(f"\n… and {hidden} more", "dim")
    return text
