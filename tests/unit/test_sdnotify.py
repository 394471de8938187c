"""What systemd is told, on a socket of a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from pifopfs.sdnotify import Notifier
from tests.notifysocket import NotifySocket


@pytest.fixture
def systemd(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotifySocket]:
    monkeypatch.setattr("faulthandler.enable", lambda file: None)  # pytest has its own
    with NotifySocket(root / "notify") as listening:
        yield listening


@pytest.mark.parametrize("abstract", [False, True])
def test_a_service_is_ready_with_a_status_and_ends_within_a_time(
    root: Path, *, abstract: bool
) -> None:
    address = f"@{root.name}" if abstract else root / "notify"
    with NotifySocket(address) as systemd:
        notifier = Notifier.take({"NOTIFY_SOCKET": systemd.address})
        notifier.ready("joe/tsp on /a\nb")
        notifier.stopping(21.5)
        assert systemd.messages == [
            {"READY": "1", "STATUS": "joe/tsp on /a b"},
            {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "21500000"},
        ]


def test_a_name_that_is_not_utf_8_is_told_as_it_is(systemd: NotifySocket) -> None:
    Notifier.take({"NOTIFY_SOCKET": systemd.address}).ready("/mnt/\udcff")
    with pytest.raises(UnicodeDecodeError, match="0xff"):
        assert systemd.messages


def test_what_systemd_gave_is_taken_out_of_the_environment(systemd: NotifySocket) -> None:
    environ = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "A": ""}
    Notifier.take(environ)
    assert environ == {"A": ""}


async def _signs(systemd: NotifySocket, **environ: str) -> int:
    """How often it was heard of within ten seconds."""
    notifier = Notifier.take({"NOTIFY_SOCKET": systemd.address, **environ})
    with trio.move_on_after(9.5):
        await notifier.keep_told(lambda: "well")
    return len(systemd.told("WATCHDOG"))


async def test_signs_of_life_come_three_times_as_often_as_the_watchdog_wants(
    systemd: NotifySocket, autojump_clock: MockClock
) -> None:
    assert await _signs(systemd, WATCHDOG_USEC="3000000") == 10
    assert await _signs(systemd, WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid())) == 20


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"},
     {"WATCHDOG_USEC": "0"}],
)  # fmt: skip
async def test_no_signs_of_life_where_the_watchdog_watches_nobody_or_another(
    systemd: NotifySocket, environ: dict[str, str], autojump_clock: MockClock
) -> None:
    assert await _signs(systemd, **environ) == 0
    assert systemd.told("STATUS") == ["well"]


async def test_a_status_is_told_again_only_when_it_has_changed(
    systemd: NotifySocket, autojump_clock: MockClock
) -> None:
    notifier = Notifier.take({"NOTIFY_SOCKET": systemd.address})
    texts = ["1", "1", "2", "2", "1"]
    notifier.ready("1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notifier.keep_told, partial(texts.pop, 0))
        await trio.sleep(45)
        nursery.cancel_scope.cancel()
    assert systemd.told("STATUS") == ["1", "2", "1"]


async def test_without_a_systemd_nothing_is_told_and_nothing_woken_up() -> None:
    notifier = Notifier.take({})
    notifier.ready("well")
    notifier.stopping(1)
    await notifier.keep_told(lambda: pytest.fail("nobody wants to know"))


def test_a_systemd_that_has_gone_is_no_reason_to_fail(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Notifier.take({"NOTIFY_SOCKET": str(root / "gone")}).ready("well")
    assert "systemd cannot be told READY=1" in caplog.text
