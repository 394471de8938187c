"""The files by which a server and a node tell each other of a run, on a filesystem they share.

    FOLDER/engine/script      what sbatch gets
    FOLDER/engine/options     its command line
    FOLDER/engine/fresh       a word that its script knows, too: the node must see what is new
    FOLDER/engine/N           what descriptor N of its command reads: options, the filter of calls
    FOLDER/engine/said        when it began, and then `ready`, or `missing` where there is no such
                              program
    FOLDER/engine/printed     what it prints, as far as its log takes it
    FOLDER/engine/dropped     how many bytes came after that
    FOLDER/engine/taken       a folder, made by the first job that begins
    FOLDER/engine/end         its exit code, and the two numbers: Slurm forgets in minutes
    FOLDER/engine/waited      lines for the log, from before the begin
    FOLDER/engine/slurm       what Slurm itself has to say

Files that the node writes are made here: a network filesystem shows new content at once to who
opens a file, but for a while it may not show a file that was not there at the last look.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pifopfs.server.removal import remove
from pifopfs.server.sandbox.launch import Launch

OF_THE_NODE = ("said", "printed", "dropped", "end", "slurm")


@dataclass(frozen=True, slots=True)
class End:
    """What a script says last."""

    code: int
    printed: int
    """Bytes; so many there must be to read."""
    dropped: int


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
    def slurm(self) -> Path:
        return self.folder / "slurm"

    @property
    def taken(self) -> bool:
        """A job has begun it."""
        return (self.folder / "taken").exists()

    def began(self) -> float | None:
        """When its program began, in seconds since the epoch; None before."""
        words = self._words("said")
        return float(words[0]) if len(words) > 1 else None

    def said(self) -> str:
        """What was said in the program's place; empty before that."""
        words = self._words("said")
        return words[1] if len(words) > 1 else ""

    def end(self) -> End | None:
        """None before."""
        words = self._words("end")
        return End(*map(int, words)) if len(words) == 3 else None

    def _words(self, name: str) -> list[str]:
        """Of the lines that are complete."""
        text = read(self.folder / name)
        return text[: text.rfind("\n") + 1].split()


def read(path: Path) -> str:
    """Empty where there is no such file."""
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
