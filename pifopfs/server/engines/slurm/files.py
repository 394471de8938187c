"""The files by which a server and a node tell each other of a run, on a filesystem they share.

    FOLDER/engine/script      what sbatch gets
    FOLDER/engine/options     its command line
    FOLDER/engine/fresh       a word that its script knows, too: the node must see what is new
    FOLDER/engine/N           what descriptor N of its command reads: options, the filter of calls
    FOLDER/engine/said        `begun`, and then `ready`, or `missing` where there is no such program
    FOLDER/engine/printed     what it prints, as far as its log takes it
    FOLDER/engine/dropped     how many bytes came after that
    FOLDER/engine/taken       a folder, made by the first job that begins
    FOLDER/engine/end         its exit code, the two numbers, and whether memory was short: Slurm
                              forgets in minutes
    FOLDER/engine/waited      lines for the log, from before the begin
    FOLDER/engine/messages    what the script's commands have to say
    FOLDER/engine/submitted   there once sbatch has taken it

Files that the node writes are made here: a network filesystem shows new content at once to who
opens a file, but for a while it may not show a file that was not there at the last look.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from pifopfs.server.removal import remove
from pifopfs.server.sandbox.launch import Launch

SKEW = 3600.0
"""Seconds by which the clocks of a cluster may differ."""
SHORT = 1000
"""Bytes of a file that holds some words."""
log = logging.getLogger(__name__)

OF_THE_NODE = ("said", "printed", "dropped", "end")


@dataclass(frozen=True, slots=True)
class End:
    """What a script says last."""

    code: int
    printed: int
    """Bytes; so many there must be to read."""
    dropped: int
    out_of_memory: bool


@dataclass(frozen=True, slots=True)
class Files:
    """Those of one run."""

    folder: Path
    """Of the engine, within that of the execution."""

    @classmethod
    def of(cls, launch: Launch) -> Files:
        return cls(launch.folder / "engine")

    def make(self) -> None:
        """What a server has left that died before its job was recorded, is made anew. Raises
        OSError.
        """
        remove(self.folder)
        self.folder.mkdir(mode=0o700)
        for name in OF_THE_NODE:
            (self.folder / name).touch()

    @property
    def script(self) -> Path:
        return self.folder / "script"

    @property
    def options(self) -> Path:
        return self.folder / "options"

    @property
    def fresh(self) -> Path:
        return self.folder / "fresh"

    @property
    def said_file(self) -> Path:
        return self.folder / "said"

    @property
    def printed(self) -> Path:
        return self.folder / "printed"

    @property
    def waited(self) -> Path:
        return self.folder / "waited"

    @property
    def messages(self) -> Path:
        return self.folder / "messages"

    @property
    def submitted(self) -> Path:
        return self.folder / "submitted"

    def readable(self) -> bool:
        """Whether the filesystem lets its files be read now."""
        try:
            self._words("said"), self._words("end")
        except OSError as error:
            log.warning("%s cannot be read now: %s", self.folder, error)
            return False
        return True

    def since(self) -> float:
        """When it was launched, or before; in seconds since the epoch."""
        try:
            return self.script.stat().st_mtime - SKEW
        except FileNotFoundError:
            return 0.0

    @property
    def taken(self) -> bool:
        """A job has begun it."""
        return (self.folder / "taken").exists()

    def began(self) -> float | None:
        """When its program began, in seconds since the epoch, by the clock of the filesystem; None
        before.
        """
        return self.said_file.stat().st_mtime if self._words("said") else None

    def said(self) -> str:
        """What was said in the program's place; empty before that."""
        words = self._words("said")
        return words[1] if len(words) > 1 else ""

    def end(self) -> End | None:
        """None before."""
        words = self._words("end")
        try:
            code, printed, dropped, short = map(int, words)
        except ValueError:  # nothing, or not what our script writes
            return None
        return End(code, printed, dropped, bool(short))

    def _words(self, name: str) -> list[str]:
        """Of the lines that are complete."""
        text = read(self.folder / name, SHORT)
        return text[: text.rfind("\n") + 1].split()


def read(path: Path, most: int) -> str:
    """The first bytes; empty where there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(most).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
