"""Types into a program on a terminal of its own: terminal.py 'SHOWN=>TYPED'… -- COMMAND…

Each text is typed once what comes before it has been shown. The exit status is the program's; it
is 99 where the program has not ended, or has not shown what was expected, within DEADLINE.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

DEADLINE = 20.0


def main(words: list[str]) -> int:
    """Run it."""
    split = words.index("--")
    steps = [tuple(word.split("=>", 1)) for word in words[:split]]
    command = words[split + 1 :]
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.environ["TERM"] = "xterm"
        os.execvp(command[0], command)
    try:
        if not _converse(terminal, steps, time.monotonic() + DEADLINE):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return 99
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _converse(terminal: int, steps: list[tuple[str, ...]], end: float) -> bool:
    """Whether the program has closed its terminal after all that was typed."""
    shown = b""
    while select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the other side is closed
            return not steps
        while steps and steps[0][0].encode() in shown:
            os.write(terminal, steps.pop(0)[1].encode().decode("unicode_escape").encode())
            shown = b""
    sys.stderr.write(f"not within {DEADLINE} s: {steps} in {shown!r}\n")
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
