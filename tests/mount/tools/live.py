"""How tools behave on the live files of an execution: what they must print, and when."""

from __future__ import annotations

import re
import signal
import time
from functools import partial
from urllib.parse import urlsplit

from tests.fakeservice import Handler, until
from tests.mount.tools.site import DEADLINE, FRESHNESS, Follower, Job, Terminal, run

GROWTH = [b"line 1\npar", b"tial \xc3\xbc\nline 3\n" + b"x" * 5000 + b"\n", b"the end\nno newline"]
"""What an execution prints, piece by piece: a line is cut in the middle."""
WHOLE = b"".join(GROWTH)


def looks(job: Job, command: str) -> None:
    """Each time it is run it prints what it would of a local file with the bytes so far."""
    job.start()
    job.execution.log = GROWTH[0]
    comes_to_print(job, command, on_local_disk(job, command))
    job.execution.log = WHOLE
    job.end()
    assert job.sh(command, check=False).stdout == on_local_disk(job, command)


def catches_up(job: Job, command: str) -> None:
    """As `looks`, for a tool that opens only what looks changed: a little later."""
    job.start()
    for piece in GROWTH:
        job.execution.log += piece
        if piece is GROWTH[-1]:
            job.end()
        comes_to_print(job, command, on_local_disk(job, command))


def comes_to_print(job: Job, command: str, expected: str) -> None:
    until(lambda: job.sh(command, check=False).stdout == expected, what=command)


def on_local_disk(job: Job, command: str) -> str:
    """What a command prints of a local file that holds the log as it is now."""
    folder = job.site.scratch()
    (folder / "log").write_bytes(job.execution.log)
    return run(folder, folder, command, check=False).stdout


def follows(job: Job, command: str) -> None:
    """It is started once, prints what comes as it comes, and goes on after the end."""
    follower = grown(job, command, GROWTH)
    try:
        job.end()
        assert follower.process.poll() is None
        assert follower.err == ""
    finally:
        follower.end()


def follows_to_the_end(job: Job, command: str, *, slowly: bool = False) -> None:
    """As `follows`, but ends by itself when the execution has ended: then it has all of the log.

    `slowly`: the service takes longer to tell the rest than a look may wait.
    """
    follower = grown(job, command, GROWTH[:-1])
    if slowly:
        job.site.service.fault("log", partial(answer_slowly, job.execution.id))
    job.execution.log = WHOLE
    job.execution.end()
    assert follower.process.wait(DEADLINE) == 0
    assert (follower.out, follower.err) == (WHOLE, "")


def answer_slowly(slow: str, handler: Handler) -> None:
    """As usual, but what one execution has printed comes later."""
    execution = urlsplit(handler.path).path.rpartition("/")[2]
    if execution == slow:
        time.sleep(10 * FRESHNESS)
    handler._log(execution)


def grown(job: Job, command: str, pieces: list[bytes]) -> Follower:
    """A follower that has printed each of these pieces while the execution ran."""
    job.start()
    before, began = len(job.site.service.requests), time.monotonic()
    follower = job.spawn(command)
    for piece in pieces:
        job.execution.log += piece
        comes_to_show(follower, job.execution.log)
    fetches = sum(endpoint == "log" for endpoint, _ in job.site.asked_since(before))
    assert fetches <= 4 + (time.monotonic() - began) / FRESHNESS
    return follower


def comes_to_show(follower: Follower, text: bytes) -> None:
    until(lambda: seen(follower).startswith(text), what=f"{text!r} in {follower.out!r}")


def seen(follower: Follower) -> bytes:
    """What it printed, which was never anything but the beginning of the log."""
    assert WHOLE.startswith(follower.out), follower.out
    return follower.out


def follows_whole_lines(job: Job, command: str) -> None:
    """As `follows`, for a tool that keeps a line back until it is whole."""
    job.start()
    follower = job.spawn(command)
    try:
        for piece in GROWTH:
            job.execution.log += piece
            comes_to_show(follower, job.execution.log.rpartition(b"\n")[0])
    finally:
        follower.end()


def outlives(job: Job, command: str, says: str) -> None:
    """When the execution is terminated it goes on, and says at most that the name is gone."""
    follower = grown(job, command, GROWTH)
    try:
        job.site.mount.sh(f"rmdir executions/{job.name}")
        until(lambda: says in follower.err, what=f"{command}: {follower.err!r}")
        assert follower.out == WHOLE
        assert follower.process.poll() is None
        follower.process.terminate()
        assert follower.process.wait(DEADLINE) == -signal.SIGTERM
    finally:
        follower.end()


def ends_with_it(job: Job, command: str) -> None:
    """When the execution is terminated while it runs, it ends by itself."""
    follower = grown(job, command, GROWTH[:1])
    job.site.mount.sh(f"rmdir executions/{job.name}")
    follower.process.wait(DEADLINE)
    assert follower.out == GROWTH[0]


def on_a_terminal(job: Job, command: str, leave: str) -> None:
    """It shows each piece while the execution runs; the keys `leave` end it."""
    job.start()
    with Terminal() as terminal:
        viewer = job.site.mount.spawn(
            "bash", "-c", f"cd executions/{job.name}; {terminal.running(command)}"
        )
        for line in ("first line", "second line", "third line"):
            job.execution.log += f"{line}\n".encode()
            comes_to_display(terminal, line)
        job.end()
        terminal.type(leave)
        until(lambda: terminal.shown and viewer.poll() is not None, what=command)
        assert not re.search(r"\0|\^@", terminal.shown)


def comes_to_display(terminal: Terminal, line: str) -> None:
    until(lambda: line in terminal.shown, what=f"{line} on {terminal.shown!r}")


def tells_what_was_opened(job: Job, command: str) -> None:
    """It looks without opening, so it succeeds only after somebody has opened the log."""
    job.start()
    job.execution.log = GROWTH[0]
    before = len(job.site.service.requests)
    assert job.sh(command, check=False).returncode == 1
    asked = job.site.asked_since(before)  # of others something may still be asked for
    assert [kind for kind, what in asked if what == job.execution.id] == []
    comes_to_print(job, "cat log", GROWTH[0].decode())
    job.sh(command)


def tells_the_status(job: Job, command: str) -> None:
    """Pending, running and ended, each within the time it is kept."""
    assert job.sh(command).stdout == "pending\n"
    job.start()
    assert job.sh(command).stdout == "running\n"
    job.execution.end()
    until(lambda: job.sh(command).stdout == "ended\n")


def shows_the_status(job: Job, command: str) -> None:
    """As `tells_the_status`, in a command that keeps looking until the end."""
    job.start()
    follower = job.spawn(command)
    until(lambda: b"running" in follower.out, what=command)
    job.execution.end()
    assert follower.process.wait(DEADLINE) == 0
    assert re.fullmatch(rb"(running\n)+(ended\n)+", follower.out)
