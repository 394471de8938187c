"""Much code loaded at once, and no more of it than is run."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED = ("httpx._main", "h2")
"""What a client's libraries load where they can: httpx's command line with rich and pygments, and
HTTP/2, which is never asked for. A module that is None is not there.
"""


@contextmanager
def loading(*, client: bool = False) -> Iterator[None]:
    """What is loaded inside stays for good: the garbage collector need not look at it, now or
    later. `client`: a client of services, which goes without what it has no use for.
    """
    if client:
        for name in UNUSED:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # as Python documents it
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
