"""docs/TROUBLESHOOTING.md tells the truth: what an entry shows is what is printed.

An entry with `<!-- replayed: STAGE -->` is replayed there, command by command. The messages of the
others are found in the texts of the package.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pifopfs.server.removal import remove
from tests.doctor.rig import needs_root
from tests.mount.home import Stage, home
from tests.mount.stages import SHARED, STAGES
from tests.troubles import ANYTHING, Entry, entries, pattern, said_by_the_sources

ENTRIES = entries()
REPLAYED = [entry for entry in ENTRIES if entry.stage is not None]
OTHERS = [entry for entry in ENTRIES if entry.stage is None]


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    """One mount for all who leave it as they found it."""
    root = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    with home(root) as stage:
        yield stage
    remove(root)


@pytest.fixture
def stage(entry: Entry, request: pytest.FixtureRequest) -> Iterator[Stage]:
    assert entry.stage is not None
    if entry.stage in SHARED:
        yield request.getfixturevalue("shared")
    else:
        with home(request.getfixturevalue("root")) as own:
            yield own


@needs_root
@pytest.mark.parametrize("entry", REPLAYED, ids=str)
def test_what_is_shown_is_what_is_printed(entry: Entry, stage: Stage) -> None:
    assert entry.stage is not None
    STAGES[entry.stage](stage)
    printed = stage.replay([step.command for step in entry.steps])
    stage.mount.expected = [".*"]
    assert len(printed) == len(entry.steps), printed
    for step, lines in zip(entry.steps, printed, strict=True):
        shown = "\n".join(lines).rstrip()
        wanted = pattern("\n".join(step.lines))
        assert wanted.fullmatch(shown), f"{entry.title}\n$ {step.command}\n{shown}"


@pytest.mark.parametrize("entry", OTHERS, ids=str)
def test_what_is_shown_is_in_the_sources(entry: Entry) -> None:
    for step in entry.steps:
        for line in step.lines:
            if line != ANYTHING:
                assert said_by_the_sources(line), line


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_an_entry_has_a_message_a_cause_and_a_mend(entry: Entry) -> None:
    assert any(step.lines for step in entry.steps), "no command with its message"
    assert "**Why.** " in entry.text
    assert "**Mend.** " in entry.text
    assert entry.text.index("```console") < entry.text.index("**Why.** ")


def test_no_title_is_there_twice() -> None:
    titles = [entry.title for entry in ENTRIES]
    assert len(set(titles)) == len(titles)


def test_every_stage_is_used() -> None:
    assert {entry.stage for entry in REPLAYED} == STAGES.keys()
