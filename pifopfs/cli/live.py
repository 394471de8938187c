"""A table that is drawn anew each second, with rich, which is loaded only for it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from pifopfs.cli.ends import die_by
from pifopfs.cli.pages import Page
from pifopfs.cli.tables import lines

MARGIN = 3
"""Lines of the screen that are no rows."""


def show_live(look: Callable[[int | None], Page], interval: float) -> None:
    """Until Ctrl-C. `look` gets how many rows there is room for. Raises what it raises."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the screen is to be given back
    console = Console()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_drawn(look(_room(console)), console), refresh=True)
                time.sleep(interval)
    except KeyboardInterrupt:
        die_by(signal.SIGINT)


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
