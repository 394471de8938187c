"""What a setting can be: read from text (a flag, a variable) and from a value of a TOML file.

Both ways raise ValueError with what it must be, for a message that begins with where it was given.
The classes are plain ones: dataclasses would make every command start later.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pifopfs.errors import OptionInvalid
from pifopfs.fuse_options import parse_options
from pifopfs.paths import absolute

LOOKS_LIKE_A_KEY = re.compile(r"(apikey|master)_[A-Za-z0-9]{12,}")
ON, OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class SecretGiven(ValueError):
    """A secret stands where it does not belong; a message must not repeat it."""


class Kind(Protocol):
    """One kind of value."""

    def from_text(self, text: str) -> Any:
        """The value that a flag or variable gives. Raises ValueError."""

    def from_file(self, given: object, folder: Path) -> Any:
        """The value that a file in `folder` gives. Raises ValueError."""


class Text:
    """Any text."""

    def from_text(self, text: str) -> str:
        return text

    def from_file(self, given: object, folder: Path) -> str:
        return text_in_file(given)


class Choice:
    """One of some words."""

    def __init__(self, words: Sequence[str], *, any_case: bool = False) -> None:
        self._words = words
        self._any_case = any_case

    def from_text(self, text: str) -> str:
        word = text.lower() if self._any_case else text
        if word not in self._words:
            raise ValueError(f"it is one of {', '.join(self._words)}")
        return word

    def from_file(self, given: object, folder: Path) -> str:
        return self.from_text(text_in_file(given))


class Number:
    """Above 0, and finite."""

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole

    def from_text(self, text: str) -> float | int:
        try:
            return self._checked(int(text) if self._whole else float(text))
        except ValueError:
            raise self._wrong() from None

    def from_file(self, given: object, folder: Path) -> float | int:
        if isinstance(given, bool) or not isinstance(given, int if self._whole else int | float):
            raise self._wrong()
        return self._checked(given)

    def _checked(self, value: float) -> float | int:
        try:
            fits = 0 < float(value) < float("inf")
        except OverflowError:
            fits = False
        if not fits:
            raise self._wrong()
        return value

    def _wrong(self) -> ValueError:
        return ValueError(f"it must be a {'whole number' if self._whole else 'number'} above 0")


class Switch:
    """On or off."""

    def from_text(self, text: str) -> bool:
        if text.lower() not in ON + OFF:
            raise ValueError(f"it is one of {', '.join(ON + OFF)}")
        return text.lower() in ON

    def from_file(self, given: object, folder: Path) -> bool:
        if not isinstance(given, bool):
            raise ValueError("it must be true or false, without quotes")  # noqa: TRY004
        return given


class FilePath:
    """A path. In a file `~` is a home folder, and what is relative counts from the file's."""

    def from_text(self, text: str) -> Path:
        return absolute(Path(text))

    def from_file(self, given: object, folder: Path) -> Path:
        return folder / expanded(text_in_file(given))


class KeyPath(FilePath):
    """A path of a file that holds a key; a key itself is refused."""

    def from_text(self, text: str) -> Path:
        _refuse_a_key(text)
        return FilePath.from_text(self, text)

    def from_file(self, given: object, folder: Path) -> Path:
        if isinstance(given, str):
            _refuse_a_key(given)
        return FilePath.from_file(self, given, folder)


class FuseOptionList:
    """The options of `-o`, several of them separated by commas, or a list."""

    def from_text(self, text: str) -> tuple[str, ...]:
        return self._checked((text,))

    def from_file(self, given: object, folder: Path) -> tuple[str, ...]:
        if isinstance(given, list):
            return self._checked(tuple(text_in_file(each) for each in given))
        return self._checked((text_in_file(given),))

    @staticmethod
    def _checked(options: tuple[str, ...]) -> tuple[str, ...]:
        try:
            parse_options(options)
        except OptionInvalid as error:
            problem = "" if LOOKS_LIKE_A_KEY.search(str(error)) else f": {error}"
            raise ValueError(f"it must be options as for -o{problem}") from None
        return options


class Pairs:
    """Names with values: NAME=VALUE, several of them separated by blanks as in a shell, or a
    table.
    """

    def from_text(self, text: str) -> Mapping[str, str]:
        try:
            words = shlex.split(text)
        except ValueError:
            raise ValueError("a quote or a backslash has nothing that ends it") from None
        return self.from_words(words)

    def from_words(self, words: Iterable[str]) -> Mapping[str, str]:
        pairs: dict[str, str] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not (name and equals):
                raise ValueError(f"{word!r} is not of the form NAME=VALUE")
            if name in pairs:
                raise ValueError(f"{name} is given twice")
            pairs[name] = value
        return pairs

    def from_file(self, given: object, folder: Path) -> Mapping[str, str]:
        if not isinstance(given, dict):
            raise ValueError('it must be a table, such as {name = "text", other = 4}')  # noqa: TRY004
        return {name: self._value(name, value) for name, value in given.items()}

    @staticmethod
    def _value(name: str, given: object) -> str:
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise ValueError(f"{name} must be a text in quotes, or a number")  # noqa: TRY004
        return text_in_file(given) if isinstance(given, str) else str(given)


def shown(given: object) -> str:
    """A value as a message may show it: short, and no key."""
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, dict):
        return "a table"
    if isinstance(given, str) and LOOKS_LIKE_A_KEY.search(given):
        return "a key"
    return repr(given) if isinstance(given, str | int | float) else f"a {type(given).__name__}"


def text_in_file(given: object) -> str:
    """Raises ValueError for what is no text, or empty."""
    if not isinstance(given, str) or not given or "\0" in given:
        raise ValueError('it must be a text in quotes, such as "text"')
    return given


def expanded(text: str) -> Path:
    """The path with `~` or `~user` at its beginning replaced. Raises ValueError."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"the home folder is not known: {error}") from None


def _refuse_a_key(text: str) -> None:
    if LOOKS_LIKE_A_KEY.fullmatch(Path(text).name) and not is_there(Path(text)):
        raise SecretGiven("it must be the name of a file that holds the key, and not the key")


def is_there(path: Path) -> bool:
    """Whether there is such a file, as far as this user can see."""
    try:
        return path.exists()
    except OSError:
        return False
