"""Into the background: whoever waits hears how it began, and may go before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.fakeservice import until

SLOW = """
import sys, time
from pathlib import Path
from pifopfs.mount.daemon import Outcome, in_background

def run(ready):
    Path(sys.argv[1], "begun").touch()
    while not Path(sys.argv[1], "go").exists():
        time.sleep(0.02)
    ready()
    Path(sys.argv[1], "went on").touch()
    return Outcome(0)

in_background(run, Path(sys.argv[1], "log"))
"""


def test_regression_a_daemon_failed_whose_starter_had_gone(tmp_path: Path) -> None:
    """A server that a mount had begun to start, and no longer needed, logged a traceback."""
    with subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)]) as starter:
        until((tmp_path / "begun").exists)
        os.kill(starter.pid, signal.SIGKILL)
    (tmp_path / "go").touch()
    until((tmp_path / "went on").exists)
    assert (tmp_path / "log").read_text() == ""
