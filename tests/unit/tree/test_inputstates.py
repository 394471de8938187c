"""The table of an input's states."""

import pytest

from pifopfs.tree.inputstates import TRANSITIONS, InputEvent, InputState, after


def test_a_new_beginning_means_writing_and_so_does_a_modification_of_whole_bytes() -> None:
    assert {after(state, InputEvent.BEGUN) for state in InputState} == {InputState.WRITING}
    for state in set(InputState) - {InputState.TORN}:
        assert after(state, InputEvent.MODIFIED) is InputState.WRITING


def test_only_an_upload_makes_bytes_sent() -> None:
    had = {InputState.SENT, InputState.FLUSHED}
    ways = {(s, e) for (s, e), new in TRANSITIONS.items() if new in had}
    assert {e for s, e in ways if s not in had} == {InputEvent.UPLOADED, InputEvent.FLUSHED}


def test_bytes_that_a_writer_may_add_to_are_torn_with_him() -> None:
    flushed = after(InputState.WRITING, InputEvent.FLUSHED)
    assert after(flushed, InputEvent.CUT) is InputState.TORN
    assert after(flushed, InputEvent.CLOSED) is InputState.SENT


def test_torn_bytes_stay_torn_until_they_are_written_again() -> None:
    for event in InputEvent:
        if (InputState.TORN, event) in TRANSITIONS and event is not InputEvent.BEGUN:
            assert after(InputState.TORN, event) is InputState.TORN


def test_torn_bytes_are_never_uploaded() -> None:
    with pytest.raises(ValueError, match="torn cannot be uploaded"):
        after(InputState.TORN, InputEvent.UPLOADED)


def test_sent_bytes_under_another_name_are_unsent() -> None:
    assert after(InputState.SENT, InputEvent.RENAMED) is InputState.UNSENT
