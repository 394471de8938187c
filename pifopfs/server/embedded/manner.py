"""How the server of a folder runs its programs: what all who share the server have to agree on."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pifopfs.machine import BUBBLEWRAP, LOCAL


@dataclass(frozen=True, slots=True)
class Manner:
    """As the options of the command line have it."""

    isolation: str = BUBBLEWRAP
    """One of `machine.ISOLATIONS`."""
    engine: str = LOCAL
    options: Mapping[str, str] = field(default_factory=dict)
    """The engine's own."""

    @classmethod
    def told(cls, text: str) -> Manner:
        """What a server says of itself. Raises ValueError."""
        if not text.startswith("{"):
            return cls(text)
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"{text!r} tells something else") from error

    def text(self) -> str:
        """On one line; where the engine is the usual one, as servers told it that had no other."""
        if self == Manner(self.isolation):
            return self.isolation
        return json.dumps(self.document())

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def beside(self, other: Manner) -> str:
        """In what it differs from another one, as options of the command line."""
        words = []
        if self.isolation != other.isolation:
            words += ["--isolation", self.isolation]
        if self.engine != other.engine:
            words += ["--engine", self.engine]
        if self.options != other.options:
            for name, value in self.options.items():
                words += ["--engine-option", f"{name}={value}"]
        return shlex.join(words) or "no --engine-option"
