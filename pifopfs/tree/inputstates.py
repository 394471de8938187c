"""The life of an input's bytes, as a table.

    writing     newer here than at the service; a writer may still be at it
    closed      closed, the service lacks them, and the disk may, too: a power cut tears them
    unsent      closed and on the disk, and the service lacks them
    flushed     the service has exactly these bytes, but a writer may add to them
    sent        the service has exactly these bytes
    torn        the writer was killed, or a write failed, in the middle

A daemon that dies leaves `writing` and `flushed` behind: the writer had not closed it for good, so
it is torn.
"""

from __future__ import annotations

from enum import StrEnum


class InputState(StrEnum):
    """What is known of an input's bytes."""

    WRITING = "writing"
    CLOSED = "closed"
    UNSENT = "unsent"
    FLUSHED = "flushed"
    SENT = "sent"
    TORN = "torn"


class InputEvent(StrEnum):
    """What can happen to them."""

    BEGUN = "begun"
    """Created, or truncated to nothing: whatever was wrong with the old bytes is gone."""
    MODIFIED = "modified"
    """Written, or truncated to some other size."""
    CLOSED = "closed"
    """The last writer is gone, in order."""
    SYNCED = "synced"
    """They are on the disk for sure."""
    UPLOADED = "uploaded"
    """The service has taken the bytes as they are here now."""
    FLUSHED = "flushed"
    """The same, while a writer is there."""
    CUT = "cut"
    """A writer was killed, a write failed, or the daemon died."""
    RENAMED = "renamed"
    """They are under another name now, which the service does not have."""


S, E = InputState, InputEvent

TRANSITIONS: dict[tuple[InputState, InputEvent], InputState] = {
    **{(state, E.BEGUN): S.WRITING for state in S},
    (S.WRITING, E.MODIFIED): S.WRITING,
    (S.CLOSED, E.MODIFIED): S.WRITING,
    (S.UNSENT, E.MODIFIED): S.WRITING,
    (S.FLUSHED, E.MODIFIED): S.WRITING,
    (S.SENT, E.MODIFIED): S.WRITING,
    (S.TORN, E.MODIFIED): S.TORN,
    (S.WRITING, E.CLOSED): S.CLOSED,
    (S.CLOSED, E.CLOSED): S.CLOSED,
    (S.UNSENT, E.CLOSED): S.UNSENT,
    (S.FLUSHED, E.CLOSED): S.SENT,
    (S.SENT, E.CLOSED): S.SENT,
    (S.TORN, E.CLOSED): S.TORN,
    (S.CLOSED, E.SYNCED): S.UNSENT,
    (S.WRITING, E.UPLOADED): S.SENT,
    (S.CLOSED, E.UPLOADED): S.SENT,
    (S.UNSENT, E.UPLOADED): S.SENT,
    (S.FLUSHED, E.UPLOADED): S.SENT,
    (S.SENT, E.UPLOADED): S.SENT,
    (S.WRITING, E.FLUSHED): S.FLUSHED,
    (S.CLOSED, E.FLUSHED): S.SENT,
    (S.UNSENT, E.FLUSHED): S.SENT,
    (S.FLUSHED, E.FLUSHED): S.FLUSHED,
    (S.SENT, E.FLUSHED): S.SENT,
    (S.WRITING, E.CUT): S.TORN,
    (S.FLUSHED, E.CUT): S.TORN,
    (S.TORN, E.CUT): S.TORN,
    (S.CLOSED, E.CUT): S.CLOSED,
    (S.UNSENT, E.CUT): S.UNSENT,
    (S.SENT, E.CUT): S.SENT,
    (S.WRITING, E.RENAMED): S.WRITING,
    (S.CLOSED, E.RENAMED): S.CLOSED,
    (S.UNSENT, E.RENAMED): S.UNSENT,
    (S.FLUSHED, E.RENAMED): S.WRITING,
    (S.SENT, E.RENAMED): S.UNSENT,
    (S.TORN, E.RENAMED): S.TORN,
}
"""What is not here cannot happen: `after` raises."""

WHOLE = (S.UNSENT, S.SENT)
"""A record of these is believed after a power cut, so it must be gone before the bytes change."""

LACKING = (S.WRITING, S.CLOSED, S.UNSENT)
"""The service does not have these bytes, and they are to be uploaded."""


def recorded(state: InputState, *, synced: bool = True) -> InputState:
    """What the record says of a state: a mount that finds `flushed` or `writing` does the same.

    Not `synced`: the bytes may not be on the disk yet, so a power cut may have torn them; where
    there was none they are sent again.
    """
    if state is S.SENT and not synced:
        return S.CLOSED
    return S.WRITING if state is S.FLUSHED else state


def after(state: InputState, event: InputEvent) -> InputState:
    """The state after `event`. Raises ValueError for an event that cannot happen in `state`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"an input that is {state} cannot be {event}") from None
