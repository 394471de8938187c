"""What is set, and by what, for people and programs: all of it but the key."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pifopfs.config.keys import Place
from pifopfs.config.mounts import Config
from pifopfs.config.options import OPTIONS, Scope
from pifopfs.config.values import Origin, Values

KEY = "api_key"


def render(config: Config) -> str:
    """A line for each setting: its name, its value and where that came from; never the key."""
    return lines(config.values, config.key_place, concerns(config.folder is not None))


def concerns(is_folder: bool) -> Scope:
    """What settings are for, beside those for all."""
    return Scope.FOLDER if is_folder else Scope.SERVICE


def lines(values: Values, key: Place | None, scope: Scope = Scope.ALL) -> str:
    """The settings for a scope, in columns. `key` tells where the key is."""
    rows = [
        (name, _text(values[name].value), ", ".join(map(str, values[name].origins)))
        for name in _names(scope)
    ]
    if scope is not Scope.FOLDER:
        rows.insert(0, (KEY, *_of_key(key)))
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "".join(f"{name:{first}}  {text:{second}}  {origin}\n" for name, text, origin in rows)


def document(values: Values, key: Place | None, scope: Scope = Scope.ALL) -> dict[str, Any]:
    """The same for programs: to each name its value, and the places that it came from."""
    shown: dict[str, Any] = {}
    if scope is not Scope.FOLDER:
        origins = [] if key is None else [_origin(key.origin)]
        shown[KEY] = {"place": None if key is None else key.where, "from": origins}
    for name in _names(scope):
        value = values[name]
        shown[name] = {"value": _plain(value.value), "from": [_origin(o) for o in value.origins]}
    return shown


def _names(scope: Scope) -> Iterator[str]:
    for name, option in OPTIONS.items():
        if scope is Scope.ALL or option.scope in (Scope.ALL, scope):
            yield name


def _of_key(key: Place | None) -> tuple[str, str]:
    return ("-", "default") if key is None else (f"(not shown; in {key.where})", str(key.origin))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, dict):
        return shlex.join(f"{name}={each}" for name, each in value.items()) or "-"
    if isinstance(value, tuple):
        return ",".join(value) or "-"
    return "-" if value is None else str(value)


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return str(value) if isinstance(value, Path) else value


def _origin(origin: Origin) -> dict[str, str | None]:
    return {
        "source": origin.source.value,
        "where": origin.where or None,
        "section": origin.section or None,
    }
