"""The logs of daemons and servers hold no warning and no traceback that a test has not provoked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?P<level>[A-Z]+) (?P<what>.*)")

QUIET = {"DEBUG", "INFO"}

TOLD = [
    r"pifopfs\.tree\.execution: .* \(.*\): (start|stop|status|log|wait|upload|download|terminate)",
    r"pifopfs\.tree\.execution: .* is gone at the service",
    r"pifopfs\.tree\.executions: mkdir ",
    r"pifopfs\.tree\.shared: function\.json: ",
    r"pifopfs\.api\.breaker: the service (counts as down|answers again)",
    r"pifopfs\.mount\.runner: uploads that have not ended are cut off",
    r"pifopfs\.cli\.(group|background): (?!the daemon failed)",
    r"pifopfs\.server\.engines\.opening: isolation is none",
]
"""What a command of the test was told, too, by an errno or in `error`; and what it asked for."""


def files(root: Path) -> Iterator[Path]:
    """The logs of a test's daemons and embedded servers."""
    for name in ("daemon.log", "server.log"):
        yield from (root / "state").rglob(name)


def unexpected(text: str, expected: Iterable[str] = ()) -> list[str]:
    """The lines of a log that no test should leave behind, save those that match `expected`."""
    allowed = [re.compile(pattern) for pattern in [*TOLD, *expected]]
    bad, belongs = [], False  # a line that is no record belongs to the record before it
    for line in text.splitlines():
        found = LINE.fullmatch(line)
        what = line if found is None else found["what"]
        accepted = any(pattern.match(what) for pattern in allowed)
        if found is not None:
            belongs = accepted
            accepted = accepted or found["level"] in QUIET
        if not (accepted or (found is None and belongs)):
            bad.append(line)
    return bad


def check(root: Path, expected: Iterable[str] = ()) -> None:
    """Fails where a log has such a line."""
    for path in files(root):
        bad = unexpected(path.read_text(errors="replace"), expected)
        assert not bad, f"{path}:\n" + "\n".join(bad)
