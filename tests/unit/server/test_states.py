"""The table of an execution's life on the server."""

from __future__ import annotations

from pifopfs.server.states import ALLOWED, REASONS, Action, refusal
from pifopfs.wire import Status


def test_every_action_is_in_the_table_and_has_a_reason() -> None:
    assert set(ALLOWED) == set(REASONS) == set(Action)


def test_a_refusal_tells_the_state_and_why() -> None:
    for action in Action:
        for status in Status:
            said = refusal(action, status)
            assert (said is None) == (status in ALLOWED[action])
            if said is not None:
                assert status in said
                assert REASONS[action] in said
