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

from pifopfs.server.engines.slurm.files import Files
from pifopfs.server.sandbox.isolation import FIND, Command, Gate, Isolation
from pifopfs.server.sandbox.launch import Launch

GATE = Gate(FIND + 'exec "$@" </dev/null')
"""As the local engine's, but it goes on at once."""

SCRIPT = """#!/bin/bash
LC_ALL=C
program= asked=
below() {{ # the processes that come from one
    local child
    for child in $(cat /proc/$1/task/*/children); do echo $child; below $child; done
}}
comm() {{ cat /proc/$1/comm; }}
of_bubblewrap() {{ for p; do [ "$(comm $p)" != bwrap ] || echo $p; done; }}
others() {{ for p; do case $(comm $p) in '' | bwrap) ;; *) echo $p ;; esac; done; }}
ask_to_end() {{ # bubblewrap would end with the program proper, and take the others along
    asked=yes
    [ "$program" ] || return
    local inside=$(of_bubblewrap $(below $program))
    kill -STOP $inside
    kill -TERM $(others $program $(below $program))
    for ((i = 0; i < {grace}; i++)); do
        [ "$(others $program $(below $program))" ] || break
        sleep 0.05
    done
    kill -KILL $(others $program $(below $program))
    kill -CONT $inside
}} 2>/dev/null
end_it() {{
    asked=yes
    [ -z "$program" ] || kill -KILL -- $program -$program $(below $program)
}} 2>/dev/null
watch_memory() {{ # where memory is short, the kernel kills one process, and others may go on
    local line counts key value
    while IFS=: read -r _ line counts; do
        case ,$line, in
        *,memory,*) counts=/sys/fs/cgroup/memory$counts/memory.oom_control; break ;;
        ,,) counts=/sys/fs/cgroup$counts/memory.events ;;
        esac
    done </proc/self/cgroup
    [ -r "$counts" ] || return
    exec 249<> <(:)
    while :; do
        while read -r key value; do
            [ "$key" != oom_kill ] || [ $value = 0 ] || {{ end_it; return; }}
        done <"$counts"
        read -rt {memory_pause} <&249
    done
}} 2>/dev/null
trap ask_to_end {ask}
trap end_it {kill}

for ((i = 0; i < {patience}; i++)); do
    cd {engine} 2>/dev/null && [ "$(<fresh)" = {fresh} ] && break
    sleep 0.1
done 2>/dev/null
[ "$(<fresh)" = {fresh} ] && [ -d {work} ] || exit {unusable}
mkdir taken || exit {taken}
[ -z "$asked" ] || exit {stopped}

exec 250> >(
    stdbuf -o0 head -c {most} >>printed
    IFS= read -rd "" -n 1 && echo $((1 + $(wc -c))) >dropped
)
reader=$!
echo ${{EPOCHREALTIME:-$(date +%s.%N)}} >said
{program} >&250 2>&1 250>&- &
program=$!
watch_memory 250>&- &
watcher=$!
[ -z "$asked" ] || end_it
while wait $program; kill -0 $program; do :; done 2>/dev/null
wait $program
code=$?
kill $watcher 2>/dev/null
# Where Slurm ends the job, it ends this script, too, maybe a moment later: then no end is told.
[ $code = 0 ] || [ "$asked" ] || sleep {settle}
exec 250>&-
for ((i = 0; i < {drain}; i++)); do kill -0 $reader 2>/dev/null || break; sleep 0.01; done
dropped=$(<dropped)
echo $code $(stat -c %s printed) ${{dropped:-0}} >end
exit $code
"""
ASK, KILL = "USR2", "USR1"
"""The signals by which the script asks its program to end, and kills it: Slurm itself takes seconds
for that, and passes nothing on to other sessions.
"""
ASK_PAUSE = 0.05
MEMORY_PAUSE = 0.5
SETTLE = 0.2
DRAIN = 200
"""Hundredths of a second in which what was printed must have come, once its program has ended."""
PATIENCE = 50
"""Tenths of a second in which a node must see what was written here."""
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
    command = isolation.command(launch, gate=GATE)
    try:
        redirections = [_redirected(files, number) for number in command.descriptors]
    finally:
        command.close_descriptors()
        if command.reports is not None:
            os.close(command.reports)
    files.script.write_bytes(_script(files, launch, command, redirections, grace, fresh))
    files.options.write_text("".join(f"{option}\0" for option in options))
    return files


def _script(
    files: Files,
    launch: Launch,
    command: Command,
    redirections: list[str],
    grace: float,
    fresh: str,
) -> bytes:
    script = SCRIPT.format(
        engine=shlex.quote(str(files.folder)),
        work=shlex.quote(str(launch.work)),
        program=_program(
            launch, command, [*redirections, f"0>>{shlex.quote(str(files.said_file))}"]
        ),
        memory_pause=MEMORY_PAUSE,
        settle=SETTLE,
        fresh=fresh,
        patience=PATIENCE,
        unusable=UNUSABLE,
        taken=TAKEN,
        stopped=STOPPED,
        ask=ASK,
        kill=KILL,
        grace=math.ceil(grace / ASK_PAUSE),
        most=UNLIMITED if launch.limits.log is None else launch.limits.log,
        drain=DRAIN,
    )
    return os.fsencode(script)


def _program(launch: Launch, command: Command, redirections: list[str]) -> str:
    """In a session of its own, with nothing of the environment; with a terminal if it asks."""
    environment = _words(f"{name}={value}" for name, value in command.environment.items())
    line = f"env -i {environment} {_words(command.argv)} {' '.join(redirections)}"
    # Where memory is short, the kernel is to take a process of the program, not one of Slurm's.
    go = f"echo 1000 >/proc/self/oom_score_adj; cd {shlex.quote(str(command.cwd))} && exec"
    if not launch.sandbox.terminal:
        return f"({go} setsid {line})"
    inner = shlex.quote(f"stty -opost; {go} {line}")
    return f"SHELL=$BASH script -qefc {inner} /dev/null </dev/null"


def _redirected(files: Files, number: int) -> str:
    """A descriptor of the command as a file that bash opens in its place."""
    if stat.S_ISFIFO(os.fstat(number).st_mode):  # for bubblewrap's reports
        return f"{number}>/dev/null"
    path = files.folder / str(number)
    path.write_bytes(os.pread(number, os.fstat(number).st_size, 0))
    return f"{number}<{shlex.quote(str(path))}"


def _words(words: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, words))
