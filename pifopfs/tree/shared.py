"""What the whole tree of one mount shares, and what it knows of the function."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field

import trio

from pifopfs.api import FunctionClient
from pifopfs.errors import ServiceError
from pifopfs.tree.background import Background, SingleFlight
from pifopfs.tree.cache import OutputCache
from pifopfs.tree.closes import LastCloses
from pifopfs.tree.earlyuploads import EarlyUploads
from pifopfs.tree.layout import is_temporary
from pifopfs.tree.longpolls import LongPolls
from pifopfs.tree.names import Names
from pifopfs.tree.pagecache import PageCache
from pifopfs.tree.settings import Settings
from pifopfs.wire import Function

log = logging.getLogger(__name__)


class FunctionInfo:
    """The Function object, asked for again when somebody looks and it is old."""

    def __init__(
        self, function: Function, client: FunctionClient, background: Background, age: float
    ) -> None:
        """`age`: seconds after which it is old."""
        self.current = function
        self._age = age
        self._asked = trio.current_time()
        self._fetch = SingleFlight(background, client.function)

    async def refresh(self) -> None:
        """Raises ServiceError."""
        if trio.current_time() - self._asked > self._age:
            try:
                self.current = await self._fetch()
            except ServiceError as error:
                log.warning("function.json: %s", error)
                raise
            self._asked = trio.current_time()

    def declares_input(self, name: str) -> bool:
        """Whether `name` is an input; where the service does not tell, all but temporary names."""
        declared = self.current.input
        if declared is None:
            return not is_temporary(name)
        return any(spec.id == name for spec in declared)

    def render(self) -> bytes:
        """The document, for reading."""
        return json.dumps(self.current.document, indent=2).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Shared:
    """The parts that every execution of a mount uses."""

    client: FunctionClient
    names: Names
    cache: OutputCache
    background: Background
    closes: LastCloses
    pages: PageCache
    settings: Settings
    function: FunctionInfo
    long_polls: LongPolls = field(default_factory=LongPolls)
    early: EarlyUploads = field(default_factory=EarlyUploads)
