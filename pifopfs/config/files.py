"""The TOML files of the user and of the system: read, and checked as a whole.

A mistake anywhere in a file is an error, also in the section of another function: who wrote it
wants to know before that function is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from pifopfs.config.kinds import expanded, is_there, shown
from pifopfs.config.options import OPTIONS, PREFIX, Scope
from pifopfs.errors import ConfigFileInvalid

NAME = "config.toml"
SYSTEM_FOLDER = Path("/etc/pifopfs")
SECTIONS = "function"
NAMES_A_FUNCTION = re.compile(r"[^/.~][^/]*/[^/]+")
SECRETS = ("api_key", "key", "master_key", "password", "token")
"""Names that a key would be given under."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What one file sets."""

    path: Path
    of_the_system: bool
    top: Mapping[str, Any]
    sections: Mapping[str, Mapping[str, Any]]
    """By the function's name, or the folder's."""

    def for_function(self, target: str | None, folder: Path | None) -> list[tuple[str, Any]]:
        """The sections of a function or folder, and what is for all; each with its heading."""
        found = [
            (heading(name), settings)
            for name, settings in self.sections.items()
            if name == target or (folder is not None and _folder(name) == folder)
        ]
        return [*found, ("", self.top)]


def user_folder() -> Path:
    """Where the user's file is, and what `pifopfs login` stores."""
    return platformdirs.user_config_path("pifopfs")


def user_file() -> Path:
    return user_folder() / NAME


def system_file(environ: Mapping[str, str]) -> Path:
    """In /etc/pifopfs, or in the folder that PIFOPFS_SYSTEM_CONFIG_DIR names."""
    return Path(environ.get(f"{PREFIX}SYSTEM_CONFIG_DIR") or SYSTEM_FOLDER) / NAME


def read_all(environ: Mapping[str, str]) -> list[ConfigFile]:
    """Those that are there, the user's first. Raises ConfigFileInvalid."""
    found = [
        _read(user_file(), of_the_system=False),
        _read(system_file(environ), of_the_system=True),
    ]
    return [file for file in found if file is not None]


def heading(section: str) -> str:
    """As it stands in a file."""
    return f'[{SECTIONS}."{section}"]' if section else ""


def _read(path: Path, *, of_the_system: bool) -> ConfigFile | None:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if not is_there(path):  # in the home of another user, as HOME is after sudo
            return None
        problem = f"it cannot be read: {error.strerror}"
        raise ConfigFileInvalid(path, "", problem, "make it readable, or remove it") from error
    document = _parsed(path, content)
    sections = document.pop(SECTIONS, {})
    if not isinstance(sections, dict):
        raise ConfigFileInvalid(
            path, SECTIONS, "it is no section", f"write {heading('AUTHOR/ID')} above its settings"
        )
    return ConfigFile(
        path,
        of_the_system,
        _checked(path, "", document),
        {name: _section(path, name, settings) for name, settings in sections.items()},
    )


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    import tomllib  # where there is a file

    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise ConfigFileInvalid(path, "", "it is not UTF-8 text", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:  # it tells the line, and no values
        raise ConfigFileInvalid(
            path, "", f"it is not TOML: {error}", 'a line is name = "text", or name = number'
        ) from None


def _section(path: Path, name: str, settings: Any) -> dict[str, Any]:
    title = heading(name)
    local = name.startswith(("/", "~", "example:"))
    if not local and not NAMES_A_FUNCTION.fullmatch(name):
        mend = f"write {heading('AUTHOR/ID')}, or {heading('/path/of/a/folder')}, with the quotes"
        raise ConfigFileInvalid(path, title, "this names no function", mend)
    if not isinstance(settings, dict):
        raise ConfigFileInvalid(path, title, "it is no section", f"write {title} on its own line")
    if local:
        _folder(name, path)
    values = _checked(path, title, settings)
    strange = Scope.SERVICE if local else Scope.FOLDER
    for key in values:
        if OPTIONS[key].scope is strange:
            problem = f"this is for {strange.value} only"
            raise ConfigFileInvalid(path, f"{title} {key}", problem, "remove it from this section")
    return values


def _checked(path: Path, title: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values, each of its kind."""
    values = {}
    for key, given in settings.items():
        where = f"{title} {key}".strip()
        if key in SECRETS:
            mend = "put the key alone in a file of mode 600 and set api_key_file to its name"
            problem = "a key must not stand in this file"
            raise ConfigFileInvalid(path, where, problem, f"{mend}, or use pifopfs login AUTHOR/ID")
        if key not in OPTIONS:
            raise ConfigFileInvalid(path, where, "there is no such setting", _nearest(key, title))
        try:
            values[key] = OPTIONS[key].kind.from_file(given, path.parent)
        except ValueError as error:
            raise ConfigFileInvalid(path, where, f"it is {shown(given)}", str(error)) from None
    return values


def _nearest(name: str, title: str) -> str:
    from difflib import get_close_matches  # for a mistake only

    known: Iterable[str] = OPTIONS if title else (*OPTIONS, SECTIONS)
    near = get_close_matches(name.lower().replace("-", "_"), known, 1)
    return f"did you mean {near[0]}?" if near else "pifopfs config show lists all"


def _folder(name: str, path: Path | None = None) -> Path | None:
    """The folder that a section is for, None for a function of a service."""
    if not name.startswith(("/", "~")):
        return None
    try:
        return expanded(name).resolve()
    except ValueError as error:
        if path is None:
            return None
        raise ConfigFileInvalid(path, heading(name), str(error), "write the whole path") from None
