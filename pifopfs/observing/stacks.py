"""Where a coroutine waits."""

from __future__ import annotations

import traceback


def stack(handler: object) -> str:
    """The calls of a coroutine, from its beginning inwards."""
    frames = []
    while handler is not None:
        frame = getattr(handler, "cr_frame", None) or getattr(handler, "gi_frame", None)
        if frame is not None:
            frames.append((frame, frame.f_lineno))
        handler = getattr(handler, "cr_await", None) or getattr(handler, "gi_yieldfrom", None)
    return "".join(traceback.StackSummary.extract(iter(frames)).format())
