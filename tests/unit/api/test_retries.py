"""Which failures are tried again, and after how long."""

from __future__ import annotations

import pytest

from pifopfs import errors
from pifopfs.api.deadlines import Deadlines
from pifopfs.api.retries import Policy, Remembering

POLICY = Policy(Deadlines(backoff=1.0))


def tries(policy: Policy, error: errors.ServiceError) -> int:
    """How often a call is made that always fails like this."""
    count = 1
    while policy.pause(error, count) is not None:
        count += 1
    return count


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (errors.ConnectionRefused, 2),
        (errors.Unreachable, 2),
        (errors.NoAnswer, 4),
        (errors.ConnectionBroken, 4),
        (errors.ServiceBusy, 4),
        (errors.ServiceFailure, 1),
        (errors.BadAnswer, 1),
        (errors.TlsFailure, 1),
        (errors.AccessDenied, 1),
        (errors.ExecutionUnknown, 1),
    ],
)
def test_only_what_may_pass_is_tried_again(kind: type[errors.ServiceError], expected: int) -> None:
    assert tries(POLICY, kind("x", "y")) == expected


def test_a_server_error_is_tried_again_only_for_reads() -> None:
    reading = Policy(Deadlines(), server_errors=True)
    assert tries(reading, errors.ServiceFailure("x", "y")) == 4


# > are retried with growing pauses
def test_the_pauses_grow_and_differ() -> None:
    error = errors.ServiceBusy("x", "y")
    for count, longest in ((1, 1.0), (2, 2.0), (3, 4.0)):
        pauses = [POLICY.pause(error, count) or 0 for _ in range(50)]
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 1


def test_the_service_says_how_long() -> None:
    error = errors.ServiceBusy("x", "y")
    error.retry_after = 12.0
    assert POLICY.pause(error, 1) == 12.0


def test_an_unclear_failure_is_remembered() -> None:
    remembering = Remembering(POLICY)
    remembering.pause(errors.ServiceBusy("x", "y"), 1)
    assert not remembering.unclear
    remembering.pause(errors.NoAnswer("x", "y"), 2)
    remembering.pause(errors.ServiceBusy("x", "y"), 3)
    assert remembering.unclear
