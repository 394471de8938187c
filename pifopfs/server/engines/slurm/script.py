"""The batch script of a run: on a node, it does what the local engine does here.

Its command is the one that the local engine would run, with files in place of its descriptors.
"""

from __future__ import annotations

import math
import os
import secrets
import shlex
import stat
from collections.abc import Iterable
from importlib import resources

from pifopfs.server.engines.slurm.files import Files
from pifopfs.server.sandbox.isolation import Command, Gate, Isolation, find
from pifopfs.server.sandbox.launch import Launch

SAID = 9
"""The descriptor on which the gate speaks. Not one of the first three: those are still to be seen
in the sandbox, at bubblewrap's own process.
"""
GATE = Gate(find(SAID) + f'exec "$@" {SAID}>&-')
"""As the local engine's, but it goes on at once."""

BODY = resources.files("pifopfs.server.engines.slurm").joinpath("batch.sh").read_text()
ASK, KILL = "USR2", "USR1"
"""The signals by which the script asks its program to end, and kills it: Slurm itself takes seconds
for that, and passes nothing on to other sessions.
"""
ASK_PAUSE = 0.05
UNLIMITED = 1 << 62
"""Bytes."""
UNUSABLE, TAKEN = 121, 122
"""The exit codes of a script that runs nothing: its node does not see the files of the run; or
another job has begun it before, on whatever node.
"""
STOPPED = 143
"""The exit code of what was to end before it began: as of SIGTERM."""


def write(isolation: Isolation, launch: Launch, options: Iterable[str], grace: float) -> Files:
    """Put together what a node needs to run it, and sbatch to submit it with these options.
    `grace`: seconds between SIGTERM and SIGKILL. Raises OSError.
    """
    files = Files.of(launch)
    files.make()
    fresh = secrets.token_hex(8)
    files.fresh.write_text(f"{fresh}\n")
    command = _command(isolation, launch)
    try:
        redirections = [_redirected(files, number) for number in command.descriptors]
    finally:
        _close(command)
    files.script.write_bytes(_script(files, launch, command, redirections, grace, fresh))
    files.options.write_text("".join(f"{option}\0" for option in options))
    return files


def _command(isolation: Isolation, launch: Launch) -> Command:
    """One that leaves the gate's descriptor alone."""
    command = isolation.command(launch, gate=GATE)
    if SAID not in command.descriptors:
        return command
    try:
        return isolation.command(launch, gate=GATE)  # it cannot get the same ones
    finally:
        _close(command)


def _close(command: Command) -> None:
    command.close_descriptors()
    if command.reports is not None:
        os.close(command.reports)


def _script(
    files: Files,
    launch: Launch,
    command: Command,
    redirections: list[str],
    grace: float,
    fresh: str,
) -> bytes:
    said = f"{SAID}>>{_quoted(files.said_file)}"
    variables = {
        "engine": files.folder,
        "work": launch.work,
        "fresh": fresh,
        "most": UNLIMITED if launch.limits.log is None else launch.limits.log,
        "grace": math.ceil(grace / ASK_PAUSE),
        "ASK": ASK,
        "KILL": KILL,
        "UNUSABLE": UNUSABLE,
        "TAKEN": TAKEN,
        "STOPPED": STOPPED,
    }
    lines = [
        "#!/bin/bash",
        *(f"{name}={_quoted(value)}" for name, value in variables.items()),
        f"begin() {{ {_program(launch, command, [*redirections, said])}; }}",
        BODY,
    ]
    return os.fsencode("\n".join(lines))


def _program(launch: Launch, command: Command, redirections: list[str]) -> str:
    """In a session of its own, with nothing of the environment; with a terminal if it asks."""
    environment = _words(f"{name}={value}" for name, value in command.environment.items())
    line = f"env -i {environment} {_words(command.argv)} {' '.join(redirections)}"
    # Where memory is short, the kernel is to take a process of the program, not one of Slurm's.
    go = f"echo 1000 >/proc/self/oom_score_adj; cd {_quoted(command.cwd)} && exec"
    if not launch.sandbox.terminal:
        return f"{go} setsid {line} </dev/null"
    inner = _quoted(f"stty -opost; {go} {line}")
    return f"SHELL=$BASH exec script -qefc {inner} /dev/null </dev/null"


def _redirected(files: Files, number: int) -> str:
    """A descriptor of the command as a file that bash opens in its place."""
    if stat.S_ISFIFO(os.fstat(number).st_mode):  # for bubblewrap's reports
        return f"{number}>/dev/null"
    path = files.folder / str(number)
    path.write_bytes(os.pread(number, os.fstat(number).st_size, 0))
    return f"{number}<{_quoted(str(path))}"


def _words(words: Iterable[str]) -> str:
    return " ".join(map(_quoted, words))


def _quoted(word: object) -> str:
    """For bash. sbatch takes no script in which a line could end as those of DOS do."""
    text = str(word)
    if "\r" not in text:
        return shlex.quote(text)
    return "$'\\r'".join(shlex.quote(part) for part in text.split("\r"))
