"""The TOML files: what goes before what, and what each mistake is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pifopfs import config, errors
from pifopfs.cli.mount import command as mount
from pifopfs.config import keys
from pifopfs.config.options import OPTIONS, TUNABLES
from tests.doctable import DOCS, rows
from tests.unit.conftest import Write

M = Path("/mnt")
DOCUMENT = DOCS / "CONFIGURATION.md"

VALUES: dict[str, tuple[str, str, Any]] = {
    "endpoint": ('"https://a.example"', "https://b.example", "https://a.example"),
    "allow_plain_http": ("true", "no", True),
    "api_key_file": ('"/keys/a"', "/keys/b", Path("/keys/a")),
    "ca_file": ('"/ca/a.pem"', "/ca/b.pem", Path("/ca/a.pem")),
    "state_dir": ('"/state/a"', "/state/b", Path("/state/a")),
    "cache_dir": ('"/cache/a"', "/cache/b", Path("/cache/a")),
    "isolation": ('"none"', "bubblewrap", "none"),
    "engine": ('"pbs"', "local", "pbs"),
    "engine_options": ("{cpus = 4}", "cpus=8", {"cpus": "4"}),
    "log_level": ('"debug"', "error", "debug"),
    "log_format": ('"json"', "text", "json"),
    **dict.fromkeys(TUNABLES, ("7", "8", 7)),
}
"""For each setting but `options`: in a file, in a variable, and as it counts from the file."""
FLAGS: dict[str, Any] = {"allow_plain_http": True, "engine_options": ("cpus=4",)}
"""As flags, where these are no texts."""


def of(
    name: str, environ: dict[str, str] | None = None, target: str = "joe/tsp", **flags: Any
) -> Any:
    """What counts for a function."""
    return config.look_up(target, environ or {}, **flags)[name].value


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"options"}))
def test_each_setting_comes_from_flag_environment_user_file_or_system_file_in_this_order(
    name: str, user_file: Write, system_file: Write
) -> None:
    text, other, value = VALUES[name]
    default = of(name)
    assert default != value
    system_file(f"{name} = {text}")
    assert of(name) == value
    user_file(f'{name} = {text}\n[function."ann/other"]')
    system_file("")
    assert of(name) == value
    environ = {f"PIFOPFS_{name.upper()}": other}
    assert of(name, environ) != value
    assert of(name, environ, **{name: FLAGS.get(name, text.strip('"'))}) == value


def test_the_user_goes_before_the_system_and_a_section_before_what_is_above_it(
    user_file: Write, system_file: Write
) -> None:
    system_file('stall = 1\ntotal = 1\nrecheck = 1\n[function."joe/tsp"]\nstall = 2\ntotal = 2')
    assert [of("stall"), of("total"), of("recheck")] == [2, 2, 1]
    user_file('stall = 3\n[function."joe/tsp"]\ntotal = 4')
    assert [of("stall"), of("total"), of("recheck")] == [3, 4, 1]
    assert of("total", target="ann/tsp") == 1


def test_options_of_o_are_collected_and_the_last_one_counts(
    user_file: Write, system_file: Write
) -> None:
    system_file('options = "noexec,umask=077"')
    user_file('options = ["umask=022", "noatime"]\n[function."joe/tsp"]\noptions = "uid=5"')
    loaded = config.load("joe/tsp", M, {"PIFOPFS_OPTIONS": "uid=6"}, options=("ro",))
    assert loaded.options.kernel == {"noexec", "noatime", "ro"}
    assert (loaded.options.umask, loaded.options.uid) == (0o022, 6)


def test_a_whole_configuration(user_file: Write) -> None:
    path = user_file(
        """
        log_level = "Debug"
        state_dir = "~/pifop/state"
        cache_dir = "cache"
        cache_size = 1000
        wait_outage = 1.5
        [function."joe/tsp"]
        endpoint = "https://example.org"
        """
    )
    loaded = config.load("joe/tsp", M, {})
    assert str(loaded.endpoint) == "https://example.org"
    assert loaded.settings.state_dir.is_relative_to(Path.home() / "pifop" / "state")
    assert loaded.settings.cache_dir.is_relative_to(path.parent / "cache")
    assert (loaded.settings.cache_size, loaded.settings.wait_outage) == (1000, 1.5)
    assert loaded.log_level == "DEBUG"


def test_a_folder_has_a_section_by_any_of_its_paths(
    config_home: Path, user_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(config_home))
    (config_home / "fn").mkdir()
    (config_home / "link").symlink_to("fn")
    for number, name in enumerate(("~/fn", f"{config_home}/fn", f"{config_home}/link"), 1):
        user_file(f'[function."{name}"]\nstall = {number}\nisolation = "none"')
        assert of("stall", target=f"{config_home}/link") == number
        assert of("isolation", target=f"{config_home}/fn") == "none"
    user_file('[function."example:tsp"]\nstall = 9')
    assert of("stall", target="example:tsp") == 9


def test_a_client_of_any_command_has_the_same_settings(user_file: Write) -> None:
    user_file('[function."joe/tsp"]\nendpoint = "ftp://x"')
    with pytest.raises(errors.EndpointInvalid, match="ftp://x"):
        config.client("joe/tsp", {})
    config.client("joe/tsp", {}, endpoint="https://example.org")


@pytest.mark.parametrize(
    ("environ", "flags", "engine", "options"),
    [
        ({}, {}, "slurm", {"cpus": "4"}),
        ({}, {"engine": "slurm"}, "slurm", {"cpus": "4"}),
        ({}, {"engine": "local"}, "local", {}),
        ({}, {"engine": "pbs"}, "pbs", {"queue": "long"}),
        ({}, {"engine_options": ("cpus=1", "extra=a=b c")}, "slurm",
         {"cpus": "1", "extra": "a=b c"}),
        ({"PIFOPFS_ENGINE": "local"}, {}, "local", {}),
        ({"PIFOPFS_ENGINE": "local"}, {"engine": "slurm"}, "slurm", {"cpus": "4"}),
        ({"PIFOPFS_ENGINE_OPTIONS": "cpus=2 extra='a b'"}, {}, "slurm",
         {"cpus": "2", "extra": "a b"}),
        ({"PIFOPFS_ENGINE_OPTIONS": "cpus=2"}, {"engine": "local"}, "local", {}),
        ({"PIFOPFS_ENGINE": "pbs", "PIFOPFS_ENGINE_OPTIONS": "queue=a"}, {}, "pbs", {"queue": "a"}),
        ({"PIFOPFS_ENGINE": "pbs"}, {}, "pbs", {"queue": "long"}),
    ],
)  # fmt: skip
def test_the_options_of_an_engine_are_not_those_of_another(
    config_home: Path,
    user_file: Write,
    system_file: Write,
    environ: dict[str, str],
    flags: dict[str, Any],
    engine: str,
    options: dict[str, str],
) -> None:
    user_file('engine = "slurm"\nengine_options = {cpus = 4}')
    system_file('engine = "pbs"\nengine_options = {queue = "long"}')
    loaded = config.load(str(config_home), M, environ, **flags)
    assert (loaded.engine, loaded.engine_options) == (engine, options)


def test_the_options_of_a_section_are_for_the_engine_that_counts_there(
    config_home: Path, user_file: Write
) -> None:
    section = f'[function."{config_home}"]'
    user_file(f'engine_options = {{a = 1}}\n{section}\nengine = "pbs"')
    assert of("engine_options", target=str(config_home)) == {}
    user_file(f'engine = "pbs"\n{section}\nengine_options = {{a = 1.5}}')
    assert of("engine_options", target=str(config_home)) == {"a": "1.5"}


# ── Mistakes ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stal = 5", ["stal", "did you mean stall?"]),
        ("Stall = 5", ["Stall", "did you mean stall?"]),
        ("log-level = 'info'", ["log-level", "did you mean log_level?"]),
        ("zzz = 5", ["zzz", "pifopfs config show"]),
        ("foreground = true", ["foreground", "no such setting"]),
        ("functions.x.stall = 5", ["functions", "did you mean function?"]),
        ('[function."joe/tsp"]\nstal = 5', ['[function."joe/tsp"] stal', "did you mean stall?"]),
        ('[function."joe/tsp"]\nfunction.x = 5', ['[function."joe/tsp"] function']),
        ('[function."ann/other"]\nstal = 5', ['[function."ann/other"] stal']),
        ("[function.joe.tsp]\nstall = 5", ['[function."joe"]', '[function."AUTHOR/ID"]']),
        ('[function."./fn"]', ['[function."./fn"]', "/path/of/a/folder"]),
        ('[function."joe/tsp/x"]', ['[function."joe/tsp/x"]']),
        ('function."joe/tsp" = 5', ['[function."joe/tsp"]', "no section"]),
        ("function = 5", ["function", "no section"]),
        ('[function."~nobody-here/fn"]', ["~nobody-here", "whole path"]),
        ("stall = 'long'", ["stall", "'long'", "a number above 0"]),
        ("stall = '5'", ["stall", "'5'", "a number above 0"]),
        ("stall = true", ["stall", "true", "a number above 0"]),
        ("stall = -1", ["stall", "-1", "a number above 0"]),
        ("stall = inf", ["stall", "a number above 0"]),
        (f"stall = 1{'0' * 400}", ["stall", "a number above 0"]),
        ("stall = [5]", ["stall", "a list"]),
        ("cache_size = 1.5", ["cache_size", "1.5", "a whole number above 0"]),
        ("endpoint = 5", ["endpoint", "5", "text in quotes"]),
        ("endpoint = ''", ["endpoint", "text in quotes"]),
        ("state_dir = ['x']", ["state_dir", "text in quotes"]),
        ("state_dir = '~nobody-here/x'", ["state_dir", "~nobody-here"]),
        ('state_dir = "a\\u0000b"', ["state_dir", "text in quotes"]),
        ("allow_plain_http = 'yes'", ["allow_plain_http", "true or false"]),
        ("allow_plain_http = 1", ["allow_plain_http", "true or false"]),
        ("isolation = 'hope'", ["isolation", "'hope'", "bubblewrap, none"]),
        ("engine = 5", ["engine", "5", "text in quotes"]),
        ("engine_options = 'cpus=4'", ["engine_options", "'cpus=4'", "a table", "other = 4"]),
        ("engine_options = {cpus = true}", ["engine_options", "a table", "cpus must be a text"]),
        ("[engine_options]\nx = ['1']", ["engine_options", "x must be a text", "or a number"]),
        ("engine_options.x = ''", ["engine_options", "text in quotes"]),
        ('[function."joe/tsp"]\nengine = "pbs"', ["engine", "folders only"]),
        ('[function."joe/tsp"]\nengine_options.a = "b"', ["engine_options", "folders only"]),
        ("log_level = 'loud'", ["log_level", "'loud'", "debug, info, warning, error"]),
        ("options = 'umask=9'", ["options", "umask=9", "octal"]),
        ("options = ['ro', 5]", ["options", "text in quotes"]),
        ('[function."joe/tsp"]\nisolation = "none"', ["isolation", "folders only"]),
        ('[function."/srv/fn"]\nendpoint = "https://x"', ["endpoint", "functions of a service"]),
        ("stall = 5\nstall = 6\ntotal = 7", ["line 2"]),
        ("stall 5", ["line 1"]),
        ("\n\n[function\n", ["line 3"]),
        ("stall = 5\nendpoint = https://x", ["line 2", "TOML"]),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_told_with_its_place_and_the_mend(
    user_file: Write, text: str, words: list[str]
) -> None:
    path = user_file(text)
    with pytest.raises(errors.ConfigFileInvalid) as raised:
        config.load("joe/tsp", M, {})
    for word in [f"{path}: ", *words]:
        assert word in str(raised.value)


def test_a_mistake_in_the_systems_file_is_one_though_the_user_has_it_right(
    user_file: Write, system_file: Write
) -> None:
    user_file("stall = 5")
    path = system_file("stall = 'x'")
    with pytest.raises(errors.ConfigFileInvalid, match=str(path)):
        config.load("joe/tsp", M, {})


@pytest.mark.parametrize("name", ["api_key", "key", "master_key", "token", "password"])
def test_a_key_in_a_file_is_refused_without_showing_it(user_file: Write, name: str) -> None:
    for section in ("", '[function."joe/tsp"]\n'):
        user_file(f'{section}{name} = "apikey_S3cr3t"')
        with pytest.raises(
            errors.ConfigFileInvalid, match=r"api_key_file.*pifopfs login"
        ) as raised:
            config.load("joe/tsp", M, {})
        assert name in str(raised.value)
        assert "S3cr3t" not in str(raised.value)


@pytest.mark.parametrize("name", ["apikey", "api_key_file", "stall", "log_level", "options"])
def test_a_key_in_the_wrong_place_is_not_shown(user_file: Write, name: str) -> None:
    user_file(f'{name} = "apikey_S3cr3tS3cr3t"')
    with pytest.raises(errors.ConfigFileInvalid) as raised:
        config.load("joe/tsp", M, {})
    assert "S3cr3t" not in str(raised.value)


def test_a_key_in_place_of_its_file_is_not_shown() -> None:
    key = "apikey_S3cr3tS3cr3t"
    with pytest.raises(errors.CredentialsInvalid, match="PIFOPFS_API_KEY_FILE") as raised:
        config.load("joe/tsp", M, {"PIFOPFS_API_KEY_FILE": key})
    assert "S3cr3t" not in str(raised.value)
    with pytest.raises(errors.CredentialsInvalid, match="--api-key-file") as raised:
        config.load("joe/tsp", M, {}, api_key_file=Path(key))
    assert "S3cr3t" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_told_of(user_file: Write) -> None:
    path = user_file("")
    path.write_bytes(b"endpoint = '\xff'")
    with pytest.raises(errors.ConfigFileInvalid, match="UTF-8"):
        config.load("joe/tsp", M, {})
    path.unlink()
    path.mkdir()
    with pytest.raises(errors.ConfigFileInvalid, match="directory"):
        config.load("joe/tsp", M, {})


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
def test_a_file_in_the_home_of_another_user_is_none_of_this_one(
    config_home: Path, user_file: Write
) -> None:
    user_file("stall = 5").parent.chmod(0o700)
    code = """
        import os
        from pathlib import Path
        from pifopfs import config
        print(config.load("joe/tsp", Path("/mnt"), {}).deadlines.stall)
        os.setresuid(65533, 65533, 65533)
        loaded = config.load("joe/tsp", Path("/mnt"), {})
        print(loaded.deadlines.stall, loaded.api_key)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    assert subprocess.check_output(command, text=True) == "5\n30.0 None\n"


def test_an_endpoint_of_a_file_that_is_none_names_the_file(system_file: Write) -> None:
    path = system_file('endpoint = "http://example.org"')
    with pytest.raises(errors.EndpointInvalid, match=f"{path}: .*plain http"):
        config.load("joe/tsp", M, {})


def test_without_files_nothing_is_read_or_made(config_home: Path) -> None:
    before = sorted(config_home.rglob("*"))
    config.load("joe/tsp", M, {})
    assert sorted(config_home.rglob("*")) == before


def test_the_systems_file_is_in_etc_unless_a_variable_names_another_folder(tmp_path: Path) -> None:
    from pifopfs.config import files

    assert files.system_file({}) == Path("/etc/pifopfs/config.toml")
    environ = {"PIFOPFS_SYSTEM_CONFIG_DIR": str(tmp_path)}
    assert files.system_file(environ) == tmp_path / "config.toml"
    assert files.system_file({"XDG_CONFIG_DIRS": "/x"} | os.environ).parent.name == "pifopfs"


# ── The document ──────────────────────────────────────────────────────────────────────────────


def test_the_document_names_every_setting_with_its_flag_and_default() -> None:
    told = {row["setting"].split("`")[1]: row for row in rows(DOCUMENT, "Settings")}
    assert told.keys() == OPTIONS.keys()
    flags = {option.name: option.opts[0] for option in mount.params if option.name in OPTIONS}
    for name, row in told.items():
        assert row["setting"] == (f"`{name}` (`{flags[name]}`)" if name in flags else f"`{name}`")
        if name in TUNABLES:
            assert float(row["default"]) == OPTIONS[name].default()
    for name in ("isolation", "log_level", "log_format", "endpoint"):
        assert told[name]["default"] == f"`{OPTIONS[name].default()}`"


def test_the_example_of_the_document_is_right(user_file: Write) -> None:
    _, _, rest = DOCUMENT.read_text().partition("```toml\n")
    path = user_file(rest.partition("```")[0])
    assert of("api_key_file") == path.parent / "keys" / "tsp"
    assert of("wait_outage") == 3600
    assert of("log_level", target="ann/other") == "warning"


def test_the_document_has_the_order_of_the_places_of_a_key() -> None:
    _, _, rest = DOCUMENT.read_text().partition("first of these that is there:\n\n")
    told = [line[2:].strip() for line in rest.partition("\n\n")[0].splitlines()]
    in_code = [
        line.strip() for line in (keys.__doc__ or "").splitlines() if line.startswith("    ")
    ]
    assert len(told) == len(in_code) == 8
    for line, place in zip(told, in_code, strict=True):
        for word in re.findall(
            r"--api-key-file|PIFOPFS_[A-Z_]+|pifopfs-key|login|section|system", place
        ):
            assert word in line, place
