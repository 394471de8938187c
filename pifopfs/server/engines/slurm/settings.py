"""What an operator, and a function, may say of the cluster."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pifopfs.errors import OptionInvalid

MOST = 1_000_000_000
FOR_FUNCTIONS = ("partition", "account", "qos", "cpus", "extra")
"""What a function file may say, too; it comes before what the server's operator says."""
WORD = re.compile(r"--([a-z][a-z-]*)(=.*)?", re.DOTALL)
OURS = {
    "array", "chdir", "cluster", "clusters", "error", "export", "export-file", "get-user-env",
    "gid", "help", "input", "job-name", "jobid", "mem", "mem-per-cpu", "mem-per-gpu", "no-requeue",
    "open-mode", "output", "parsable", "quiet", "requeue", "signal", "test-only", "time",
    "time-min", "uid", "usage", "version", "wait", "wrap",
}  # fmt: skip
"""Options of sbatch without which this engine could not keep its promises. Memory and time are
limits of the server, of its keys and of functions. sbatch takes them abbreviated, too.
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Names as those of `sbatch`; None: what the cluster's operator has set."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    cpus: int | None = None
    """Of each run."""
    extra: tuple[str, ...] = ()
    """More words for sbatch."""
    rate: float = 50.0
    """Submissions a second."""
    most: int = 1000
    """Jobs of this server in the queue at once; others wait in the server."""
    probe: bool = True
    """Whether every node is tried at the start."""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Settings:
        """From the words of the command line. Raises OptionInvalid."""
        return cls(**_values(given, tuple(field.name for field in fields(cls))))

    def of_function(self, given: Mapping[str, str]) -> Settings:
        """For the runs of a function. Raises OptionInvalid."""
        values = _values(given, FOR_FUNCTIONS)
        values["extra"] = (*self.extra, *values.get("extra", ()))
        return replace(self, **values)

    def words(self) -> list[str]:
        """For the command line of sbatch."""
        named = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "cpus-per-task": self.cpus,
        }
        words = [f"--{name}={value}" for name, value in named.items() if value is not None]
        return [*words, *self.extra]


def _values(given: Mapping[str, str], known: tuple[str, ...]) -> dict[str, Any]:
    for name in given.keys() - set(known):
        names = ", ".join(known)
        raise OptionInvalid(f"the engine slurm has no option {name} here; use {names}")
    return {name: _value(name, text) for name, text in given.items()}


def _value(name: str, text: str) -> object:
    match name:
        case "extra":
            return _extra(text)
        case "cpus" | "most":
            return _number(name, text, int)
        case "rate":
            return _number(name, text, float)
        case "probe":
            if text not in ("yes", "no"):
                raise _bad(name, text, "write yes or no")
            return text == "yes"
    if not text or text.startswith("-"):
        raise _bad(name, text, f"name one, as for sbatch --{name}")
    return text


def _number(name: str, text: str, kind: type[int | float]) -> int | float:
    try:
        number = kind(text)
    except ValueError:
        number = 0
    if not 0 < number < MOST:
        raise _bad(name, text, "write a number above 0")
    return number


def _extra(text: str) -> tuple[str, ...]:
    """A word without dashes would be taken for the script."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise _bad("extra", text, f"mend its quotes ({error})") from error
    for word in words:
        match = WORD.fullmatch(word)
        if match is None:
            raise _bad("extra", text, f"write {word} as --NAME or --NAME=VALUE")
        if any(name.startswith(match[1]) for name in OURS):
            raise _bad("extra", text, f"leave out --{match[1]}, which is the server's to say")
    return words


def _bad(name: str, text: str, mend: str) -> OptionInvalid:
    return OptionInvalid(f"the option {name} of the engine slurm is {text!r}: {mend}")
