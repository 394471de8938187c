"""`pifopfs mount -o`: every option of the command line, as mount(8) has options."""

from __future__ import annotations

import inspect
from pathlib import Path

import click
import pytest

from pifopfs import errors
from pifopfs.cli import mount as mount_command
from pifopfs.cli.group import SETTINGS
from pifopfs.cli.named_options import with_named
from pifopfs.config import load
from tests.fakeservice import FakeService
from tests.mount.harness import Mount

OPTIONS = [
    option
    for option in mount_command.command.params
    if isinstance(option, click.Option) and option.name not in ("options", "help")
]
VALUES = {"--isolation": "none", "--log-level": "debug", "--log-format": "json"}


def flags(*line: str) -> dict[str, object]:
    """What the command would be called with."""
    words = [*line, "joe/tsp", "/mnt"]
    with mount_command.command.make_context("mount", words, **SETTINGS) as context:
        return with_named(context, context.params)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_of_the_command_line_can_be_named(option: click.Option) -> None:
    long = next(name for name in option.opts if name.startswith("--"))
    value = [] if option.is_flag else [VALUES.get(long, "/a,b c")]
    by_itself = flags(long, *value)
    assert option.name in inspect.signature(load).parameters
    for name in (long[2:], long[2:].replace("-", "_")):
        quoted = "".join(f'="{each}"' for each in value)
        escaped = "".join(f"={each}".replace(",", "\\,") for each in value)
        for text in (f"{name}{quoted}", f"{name}{escaped}"):
            assert flags("-o", f"ro,{text},umask=022") == {
                **by_itself,
                "options": ("ro", "umask=022"),
            }


def test_an_option_that_can_be_repeated_is_collected() -> None:
    named = flags("-o", "engine-option=a=1,engine_option=b=2", "-o", 'engine-option="c=3,4"')
    assert named["engine_options"] == ("a=1", "b=2", "c=3,4")
    assert named["options"] == ()
    assert flags("--engine-option", "a=1", "-o", "engine-option=b=2")["engine_options"] == ("a=1",)


def test_an_option_by_itself_goes_before_its_name_and_a_later_name_before_an_earlier_one() -> None:
    assert flags("--log-level", "error", "-o", "log_level=debug")["log_level"] == "error"
    assert flags("-o", "log_level=debug", "-o", "log-level=info")["log_level"] == "info"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("log_level=loud", "'loud' is not one of"),
        ("endpoint", "endpoint=URL"),
        ("ca_file=", "ca_file=FILE"),
        ("engine-option", "engine-option=NAME=VALUE"),
        ("allow_plain_http=yes", "takes no value"),
        ("options=ro", "is not known"),
        ("help", "is not known"),
    ],
)
def test_a_name_with_a_wrong_value_is_refused_with_the_right_form(text: str, word: str) -> None:
    def mounting() -> None:
        left = flags("-o", text)["options"]
        assert isinstance(left, tuple)
        load("joe/tsp", Path("/mnt"), {}, options=left)

    with pytest.raises(errors.OptionInvalid, match=word):
        mounting()


def test_a_mount_by_names_alone(root: Path, service: FakeService) -> None:
    (root / "a, b").mkdir()
    (root / "a, b" / "key").write_text("apikey_secret\n")
    (root / "a, b" / "key").chmod(0o600)
    options = (
        f'endpoint={service.endpoint},api_key_file="{root}/a, b/key",ro,'
        f"state-dir={root}/a\\,\\ b/state,umask=027"
    )
    with Mount(root, "joe/tsp", "-o", options) as mount:
        assert set(service.keys) == {"Bearer apikey_secret"}
        assert "Read-only" in mount.sh("mkdir executions/j", check=False).stderr
        assert mount.out("stat -c %a function.json") == "440\n"
        assert list((root / "a, b" / "state" / "mounts").glob("*/daemon.log"))
