"""Options of the command line as `-o name=value`: the only kind that mount(8) and fstab have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from pifopfs.errors import OptionInvalid
from pifopfs.fuse_options import named, split


def with_named(context: click.Context, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of a command, with those that its `-o` names; what is left of that in `options`.

    An option that is also given on its own keeps that value. Raises OptionInvalid.
    """
    given: dict[str | None, Any] = {}
    left = []
    for item in split(flags["options"]):
        name, value = named(item)
        option = _find(context.command, name)
        if option is None:
            left.append(item)
        elif option.multiple:
            given[option.name] = (
                *given.get(option.name, ()),
                *_value(context, option, name, value),
            )
        else:
            given[option.name] = _value(context, option, name, value)
    source = context.get_parameter_source
    named_only = {
        name: value
        for name, value in given.items()
        if name is not None and source(name) is not ParameterSource.COMMANDLINE
    }
    return {**flags, **named_only, "options": tuple(left)}


def is_named(command: click.Command, item: str) -> bool:
    """Whether a single option of `-o` is one of the command line."""
    return _find(command, named(item)[0]) is not None


def _find(command: click.Command, name: str) -> click.Option | None:
    """By its name, with hyphens or underscores between the words."""
    for option in command.params:
        if isinstance(option, click.Option) and f"--{name.replace('_', '-')}" in option.opts:
            return option
    return None


def _metavar(option: click.Option) -> str:
    return option.metavar or option.type.name.upper()


def _value(context: click.Context, option: click.Option, name: str, value: str | None) -> Any:
    if option.is_flag:
        if value is not None:
            raise OptionInvalid(f"-o {name}={value}: {name} takes no value")
        return True
    if not value:
        raise OptionInvalid(f"-o {name}: it takes a value, -o {name}={_metavar(option)}")
    try:
        return option.type_cast_value(context, (value,) if option.multiple else value)
    except click.BadParameter as error:
        raise OptionInvalid(f"-o {name}={value}: {error.message}") from None
