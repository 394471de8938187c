"""Each setting, from the first place that gives it: flags, environment, the user's file, the
system's. `options` alone is collected from all of them, the first one's last, so that it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pifopfs.config.files import ConfigFile, read_all
from pifopfs.config.kinds import Pairs, SecretGiven, shown
from pifopfs.config.options import OPTIONS, Option, flag, variable
from pifopfs.errors import CredentialsInvalid, OptionInvalid


class Source(StrEnum):
    """Where a setting can come from."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    USER_FILE = "user file"
    SYSTEM_FILE = "system file"
    LOGIN = "login"
    """For the key alone: `pifopfs login` has stored it."""
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting came from."""

    source: Source
    where: str = ""
    """A flag, a variable, a file."""
    section: str = ""
    """The heading in a file, empty for what is above all headings."""

    def __str__(self) -> str:
        return f"{self.where} {self.section}".strip() or self.source


@dataclass(frozen=True, slots=True)
class Value:
    """A setting as it counts."""

    value: Any
    origins: tuple[Origin, ...]
    """The one place, or several where it was collected."""

    @property
    def origin(self) -> Origin:
        """The first one."""
        return self.origins[0]


Values = Mapping[str, Value]
"""All settings, by their names."""


def resolve(
    target: str | None,
    folder: Path | None,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
) -> Values:
    """What counts for `author/id`, for a folder, or (None, None) for those that have no section.

    Raises OptionInvalid, ConfigFileInvalid, CredentialsInvalid.
    """
    files = read_all(environ)
    return _resolved(OPTIONS, flags, environ, lambda name: _in_files(name, files, target, folder))


def resolve_without_files(flags: Mapping[str, object], environ: Mapping[str, str]) -> Values:
    """What counts of the settings that `flags` names, for a command that reads no file.

    Raises OptionInvalid, CredentialsInvalid.
    """
    return _resolved(flags, flags, environ, lambda _: iter(()))


def _resolved(
    names: Iterable[str],
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    in_files: Callable[[str], Iterator[Value]],
) -> Values:
    def given(name: str) -> Iterator[Value]:
        return _given(name, OPTIONS[name], flags, environ, in_files(name))

    values = {}
    for name in names:
        if name == "options":
            values[name] = _collected(list(given(name)))
        else:
            found = given(name)
            if name == "engine_options":
                found = _of_engine(found, list(given("engine")))
            default = Value(OPTIONS[name].default(), (Origin(Source.DEFAULT),))
            values[name] = next(found, default)
    return values


def _given(
    name: str,
    option: Option,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    in_files: Iterator[Value],
) -> Iterator[Value]:
    """From each place that gives it, the first one first."""
    given = flags.get(name)
    if given not in (None, False, ()):
        yield from _from_flag(name, option, given)
    text = environ.get(variable(name))
    if text or (text is not None and option.needs_text):
        yield _from_text(variable(name), option, text, Origin(Source.ENVIRONMENT, variable(name)))
    yield from in_files


def _from_flag(name: str, option: Option, given: object) -> Iterator[Value]:
    origin = Origin(Source.FLAG, flag(name))
    if isinstance(given, bool):
        yield Value(given, (origin,))
    elif isinstance(given, str | Path):
        yield _from_text(flag(name), option, str(given), origin)
    elif isinstance(option.kind, Pairs):
        yield Value(_from_words(flag(name), option.kind, given), (origin,))  # type: ignore[arg-type]
    else:  # one that can be repeated
        yield Value(tuple(given), (origin,))  # type: ignore[arg-type]


def _from_text(where: str, option: Option, text: str, origin: Origin) -> Value:
    try:
        return Value(option.kind.from_text(text), (origin,))
    except SecretGiven as error:
        raise CredentialsInvalid(f"{where} is {shown(text)}; {error}") from None
    except ValueError as error:
        raise OptionInvalid(f"{where} is {shown(text)}; {error}") from None


def _from_words(where: str, kind: Pairs, words: Iterable[str]) -> Mapping[str, str]:
    try:
        return kind.from_words(words)
    except ValueError as error:
        raise OptionInvalid(f"{where}: {error}") from None


def _of_engine(given: Iterator[Value], engines: list[Value]) -> Iterator[Value]:
    """The options of an engine are for the one that counts where they stand: one that is named
    nearer may be another one.
    """
    for value in given:
        there = [engine for engine in engines if _distance(engine) >= _distance(value)]
        if _first(there) == _first(engines):
            yield value


def _distance(value: Value) -> tuple[int, bool]:
    """Of the place that gives it: flags are the nearest."""
    return list(Source).index(value.origin.source), not value.origin.section


def _first(engines: list[Value]) -> str:
    return str(engines[0].value if engines else OPTIONS["engine"].default())


def _in_files(
    name: str, files: list[ConfigFile], target: str | None, folder: Path | None
) -> Iterator[Value]:
    for file in files:
        source = Source.SYSTEM_FILE if file.of_the_system else Source.USER_FILE
        for heading, settings in file.for_function(target, folder):
            if name in settings:
                yield Value(settings[name], (Origin(source, str(file.path), heading),))


def _collected(given: list[Value]) -> Value:
    if not given:
        return Value((), (Origin(Source.DEFAULT),))
    options = tuple(each for value in reversed(given) for each in value.value)
    return Value(options, tuple(value.origin for value in given))
