"""The table of all settings: what each can be, by default is, and is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

import platformdirs

from pifopfs.api import DEFAULT_ENDPOINT, Deadlines
from pifopfs.config.kinds import (
    Choice,
    FilePath,
    FuseOptionList,
    KeyPath,
    Kind,
    Number,
    Pairs,
    Switch,
    Text,
)
from pifopfs.config.limits import Limits
from pifopfs.machine import BUBBLEWRAP, ISOLATIONS, LOCAL, LOG_FORMATS, LOG_LEVELS
from pifopfs.tree.settings import Settings

PREFIX = "PIFOPFS_"


class Scope(Enum):
    """What a setting is for."""

    ALL = "functions and folders"
    SERVICE = "functions of a service"
    FOLDER = "folders"


@dataclass(frozen=True, slots=True)
class Option:
    """One setting."""

    kind: Kind
    default: Callable[[], Any] = lambda: None
    scope: Scope = Scope.ALL

    @property
    def needs_text(self) -> bool:
        """An empty variable is a mistake, not one that is not set."""
        return isinstance(self.kind, Number)


OF_THE_COMMAND_LINE = {
    "endpoint": Option(Text(), lambda: DEFAULT_ENDPOINT, Scope.SERVICE),
    "allow_plain_http": Option(Switch(), lambda: False, Scope.SERVICE),
    "api_key_file": Option(KeyPath(), scope=Scope.SERVICE),
    "ca_file": Option(FilePath(), scope=Scope.SERVICE),
    "state_dir": Option(FilePath(), lambda: platformdirs.user_state_path("pifopfs")),
    "cache_dir": Option(FilePath(), lambda: platformdirs.user_cache_path("pifopfs")),
    "isolation": Option(Choice(ISOLATIONS), lambda: BUBBLEWRAP, Scope.FOLDER),
    "engine": Option(Text(), lambda: LOCAL, Scope.FOLDER),
    "engine_options": Option(Pairs(), dict, Scope.FOLDER),
    "log_level": Option(Choice(LOG_LEVELS, any_case=True), lambda: "info"),
    "log_format": Option(Choice(LOG_FORMATS), lambda: "text"),
    "options": Option(FuseOptionList(), tuple),
}
"""Those that `mount` has options for, with `wait_outage`, which is a tunable, too."""

PARTS: tuple[type, ...] = (Deadlines, Settings, Limits)

TUNABLES: dict[str, type] = {
    field.name: part for part in PARTS for field in fields(part) if not field.name.endswith("_dir")
}
"""Numbers, mostly seconds; which part of the configuration holds each name."""


def _tunable(part: type, name: str) -> Option:
    (default,) = (field.default for field in fields(part) if field.name == name)
    return Option(Number(whole=name == "cache_size"), lambda: default)


OPTIONS: dict[str, Option] = OF_THE_COMMAND_LINE | {
    name: _tunable(part, name) for name, part in TUNABLES.items()
}


REPEATED = {"options": "-o", "engine_options": "--engine-option"}
"""The options of the command line that are given once for each part of a setting."""


def flag(name: str) -> str:
    """The option of the command line, for those that have one."""
    return REPEATED.get(name) or f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """The variable of the environment."""
    return PREFIX + name.upper()
