"""One id for each request to a service, its retries included: by it the log's lines are found.

It is sent along as X-Request-ID, so that those who run the service find theirs, too.
"""

from __future__ import annotations

import os
import re
from contextvars import ContextVar

HEADER = "X-Request-ID"
FORM = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""Of an id that somebody else has chosen: it goes into logs."""

current: ContextVar[str] = ContextVar("request", default="")
"""The request that a task is about; empty where it is about none."""


def new_id() -> str:
    """Sixteen hexadecimal digits, which tell nothing."""
    return os.urandom(8).hex()
