"""Command line and environment: precedence, validation, and what each mistake is told."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from pifopfs import config, errors
from pifopfs.api import ApiKey
from pifopfs.fuse_options import parse_options
from pifopfs.paths import find_folder

M = Path("/mnt")

pytestmark = pytest.mark.usefixtures("config_home")


def test_flags_go_before_the_environment(tmp_path: Path) -> None:
    environ = {
        "PIFOPFS_ENDPOINT": "https://a",
        "PIFOPFS_STATE_DIR": "/s",
        "PIFOPFS_LOG_LEVEL": "error",
    }
    loaded = config.load("joe/tsp", M, environ)
    assert str(loaded.endpoint) == "https://a"
    assert loaded.settings.state_dir.is_relative_to("/s")
    assert loaded.log_level == "ERROR"
    loaded = config.load(
        "joe/tsp", M, environ, endpoint="https://b", state_dir=tmp_path, log_level="debug"
    )
    assert str(loaded.endpoint) == "https://b"
    assert loaded.settings.state_dir.is_relative_to(tmp_path)
    assert loaded.log_level == "DEBUG"


def test_names_are_kept_for_each_endpoint_and_function() -> None:
    folders = {
        config.load(function, M, {}, endpoint=endpoint).settings.state_dir
        for function in ("joe/tsp", "joe/other")
        for endpoint in ("https://a", "https://b")
    }
    assert len(folders) == 4
    same = {
        config.load("joe/tsp", M, {}, endpoint=e).settings.state_dir
        for e in ("https://a", "https://a/")
    }
    assert len(same) == 1


# > One for each folder (by its real path)
def test_a_folder_is_known_by_its_real_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fn").mkdir()
    (tmp_path / "link").symlink_to("fn")
    monkeypatch.chdir(tmp_path)
    loaded = [config.load(target, M, {}) for target in ("./fn", "./link", f"{tmp_path}/fn")]
    assert {one.folder for one in loaded} == {tmp_path.resolve() / "fn"}
    assert len({one.settings.state_dir for one in loaded}) == 1


def test_a_key_is_never_shown_and_not_read_for_a_folder(tmp_path: Path) -> None:
    loaded = config.load("joe/tsp", M, {"PIFOPFS_API_KEY": "apikey_secret"})
    assert loaded.api_key is not None
    assert isinstance(loaded.api_key, ApiKey)
    assert loaded.api_key.reveal() == "apikey_secret"
    assert "secret" not in repr(loaded)
    assert config.load(str(tmp_path), M, {"PIFOPFS_API_KEY": "apikey_secret"}).api_key is None


@pytest.mark.parametrize("name", config.TUNABLES)
def test_every_deadline_can_be_set_and_must_mean_something(name: str) -> None:
    variable = f"PIFOPFS_{name.upper()}"
    loaded = config.load("joe/tsp", M, {variable: "7"})
    parts = (loaded.settings, loaded.deadlines, loaded.limits)
    assert [getattr(part, name) for part in parts if hasattr(part, name)] == [7]
    for text in ("soon", "0", "-1", "inf", "nan", ""):
        with pytest.raises(errors.OptionInvalid, match=variable):
            config.load("joe/tsp", M, {variable: text})


def test_fuse_options() -> None:
    options = parse_options(["ro,umask=022", "uid=0,gid=root", "noexec,defaults"])
    assert (options.uid, options.gid, options.umask) == (0, 0, 0o022)
    assert options.kernel == {"ro", "noexec"}
    assert parse_options([]).uid == os.getuid()


@pytest.mark.parametrize(
    "option",
    ["umask=8", "umask=1777", "umask", "uid=", "uid=no body", "gid=-1", "fsname=x", "subtype=y",
     "ro=1", "wrong", "allow_other,allow_root"],
)  # fmt: skip
def test_fuse_options_that_mean_nothing(option: str) -> None:
    with pytest.raises(errors.OptionInvalid, match="-o"):
        parse_options([option])


def test_the_examples_are_named_where_one_is_not_known() -> None:
    with pytest.raises(errors.FunctionArgumentInvalid, match="glpk, tsp"):
        find_folder("example:nothing")
    folder = find_folder("example:tsp")
    assert folder is not None
    assert (folder / "function.json").is_file()


def test_the_outage_of_the_flag_goes_before_the_environment() -> None:
    environ = {"PIFOPFS_WAIT_OUTAGE": "7"}
    assert config.load("joe/tsp", M, {}).settings.wait_outage == 300
    assert config.load("joe/tsp", M, environ).settings.wait_outage == 7
    assert config.load("joe/tsp", M, environ, wait_outage="2.5").settings.wait_outage == 2.5
    for text in ("soon", "0", "-1", "inf", "nan", ""):
        with pytest.raises(errors.OptionInvalid, match="--wait-outage"):
            config.load("joe/tsp", M, environ, wait_outage=text)


def test_the_isolation_of_the_flag_goes_before_the_environment(tmp_path: Path) -> None:
    environ = {"PIFOPFS_ISOLATION": "none"}
    assert config.load(str(tmp_path), M, {}).isolation == "bubblewrap"
    assert config.load(str(tmp_path), M, environ).isolation == "none"
    flag = config.load(str(tmp_path), M, environ, isolation="bubblewrap")
    assert flag.isolation == "bubblewrap"
    with pytest.raises(errors.OptionInvalid, match=r"PIFOPFS_ISOLATION.*hope"):
        config.load(str(tmp_path), M, {"PIFOPFS_ISOLATION": "hope"})


def test_an_isolation_is_named_for_folders_alone() -> None:
    with pytest.raises(errors.OptionInvalid, match=r"--isolation.*joe/tsp"):
        config.load("joe/tsp", M, {}, isolation="none")
    config.load("joe/tsp", M, {"PIFOPFS_ISOLATION": "none"})  # it is set for all mounts


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("cpus",), "'cpus' is not of the form NAME=VALUE"),
        (("=4",), "'=4' is not of the form NAME=VALUE"),
        (("",), "'' is not of the form NAME=VALUE"),
        (("cpus=1", "cpus=2"), "cpus is given twice"),
    ],
)
def test_an_option_of_an_engine_has_a_name_and_a_value(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(errors.OptionInvalid, match=f"--engine-option: {told}"):
        config.load(str(tmp_path), M, {}, engine_options=words)
    environ = {"PIFOPFS_ENGINE_OPTIONS": shlex.join(words)}
    with pytest.raises(errors.OptionInvalid, match=f"PIFOPFS_ENGINE_OPTIONS is .*; {told}"):
        config.load(str(tmp_path), M, environ)
    assert config.load(str(tmp_path), M, {}, engine_options=("a=", "b=c=d")).engine_options == {
        "a": "",
        "b": "c=d",
    }


def test_a_quote_without_its_end_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.OptionInvalid, match=r"PIFOPFS_ENGINE_OPTIONS.*ends it"):
        config.load(str(tmp_path), M, {"PIFOPFS_ENGINE_OPTIONS": "a='b"})


def test_an_engine_is_named_for_folders_alone() -> None:
    with pytest.raises(errors.OptionInvalid, match=r"--engine is for folders.*joe/tsp"):
        config.load("joe/tsp", M, {}, engine="slurm")
    with pytest.raises(errors.OptionInvalid, match=r"--engine-option is for folders.*joe/tsp"):
        config.load("joe/tsp", M, {}, engine_options=("cpus=4",))
    environ = {"PIFOPFS_ENGINE": "slurm", "PIFOPFS_ENGINE_OPTIONS": "cpus=4"}
    config.load("joe/tsp", M, environ)  # it is set for all mounts


def test_a_log_level_of_the_environment_must_be_known() -> None:
    with pytest.raises(errors.OptionInvalid, match=r"PIFOPFS_LOG_LEVEL.*loud"):
        config.load("joe/tsp", M, {"PIFOPFS_LOG_LEVEL": "loud"})
    assert config.load("joe/tsp", M, {"PIFOPFS_LOG_LEVEL": "Debug"}).log_level == "DEBUG"


@pytest.mark.parametrize("name", ["uid", "gid"])
def test_ids_are_below_the_one_that_means_none(name: str) -> None:
    assert getattr(parse_options([f"{name}=4294967294"]), name) == 2**32 - 2
    for number in ("4294967295", "99999999999", "9" * 5000):
        with pytest.raises(errors.OptionInvalid, match=f"-o {name}="):
            parse_options([f"{name}={number}"])
