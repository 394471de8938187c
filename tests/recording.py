"""A recorded terminal session: scripts/demo in a real terminal, drawn as an SVG.

`scripts/record` calls this. The picture brings its own background, so that it reads well on a page
of any colour, and fetches nothing: it names fonts that systems have, and each piece of text tells
its length, so that columns stay where they are with any of them.
"""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

DEMO = Path(__file__).parents[1] / "scripts" / "demo"
COLUMNS = 92
PROMPT = "$ "

BACKGROUND = "#1e222a"
NORMAL, COMMAND, COMMENT = (200, 204, 212), (152, 215, 130), (128, 136, 150)
THEME = TerminalTheme((30, 34, 42), NORMAL, [NORMAL] * 8, [COMMENT, COMMAND] + [NORMAL] * 6)
STYLES = {r"(?m)^\$ .*$": "bright_red", r"(?m)(?<=  )# .*$": "bright_black"}
"""What is painted, in the names of the theme's colours: commands, and the remarks behind them."""

FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
PICTURE = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{width}} {{height}}" role="img">
<title>A terminal: a function is mounted, and a job run on it with mkdir, cp, echo and cat</title>
<style>
.{{unique_id}}-matrix {{{{ font: {{char_height}}px {FONTS} }}}}
{{styles}}
</style>
<defs><clipPath id="{{unique_id}}-clip-terminal">
<rect width="{{terminal_width}}" height="{{terminal_height}}"/></clipPath>{{lines}}</defs>
<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>
<g transform="translate(22, 22)" fill="#565c69">
<circle r="7"/><circle cx="22" r="7"/><circle cx="44" r="7"/></g>
<g class="{{unique_id}}-matrix" transform="translate({{terminal_x}}, {{terminal_y}})">
{{backgrounds}}{{matrix}}</g>
</svg>
"""


def record(command: list[str], columns: int = COLUMNS) -> str:
    """What the terminal shows while the command runs, with its escape sequences.

    Raises RuntimeError where the command fails.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(columns), LC_ALL="C.UTF-8")
        os.execvp(command[0], command)
    shown = b""
    while piece := _read(terminal):
        shown += piece
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    text = shown.decode().replace("\r\n", "\n")
    if status != 0:
        raise RuntimeError(f"{command[0]} has failed:\n{text}")
    return text


def _read(terminal: int) -> bytes:
    """What is new in the terminal; nothing once its last process has closed it."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def shortened(lines: list[str]) -> list[str]:
    """Without the empty lines between commands that print nothing and their successors."""
    around = zip(["", *lines], lines, [*lines[1:], ""], strict=False)
    return [line for before, line, after in around if line or not _commands(before, after)]


def _commands(*lines: str) -> bool:
    return all(_plain(line).startswith(PROMPT) for line in lines)


def _plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def draw(shown: str, columns: int = COLUMNS) -> str:
    """The SVG of what a terminal has shown."""
    lines = shortened(shown.strip("\n").split("\n"))
    console = Console(file=io.StringIO(), record=True, width=columns, force_terminal=True)
    text = Text.from_ansi("\n".join(lines))
    for pattern, style in STYLES.items():
        text.highlight_regex(pattern, style)
    console.print(text)
    return console.export_svg(theme=THEME, code_format=PICTURE, unique_id="session")


def main(target: Path) -> None:
    """Write the picture; a session that fails leaves the old one."""
    picture = draw(record([str(DEMO)]))
    target.write_text(picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
