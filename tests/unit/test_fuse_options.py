"""`-o`: what is quoted, what wins, and what of fstab(5) is let pass."""

from __future__ import annotations

import pytest

from pifopfs.errors import OptionInvalid
from pifopfs.fuse_options import is_known, named, parse_options, split


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("ro,uid=1", [("ro", None), ("uid", "1")]),
        ('ca_file="/a,b/c d",ro', [("ca_file", "/a,b/c d"), ("ro", None)]),
        ("ca_file=/a\\,b,ro", [("ca_file", "/a,b"), ("ro", None)]),
        ('a="x\\"y\\\\z\\w",b=\\"', [("a", 'x"y\\z\\w'), ("b", '"')]),
        (",ro, noexec ,,", [("ro", None), ("noexec", None)]),
        ('a=x"y,z"w', [("a", "xy,zw")]),
        ("a=,b=c=d", [("a", ""), ("b", "c=d")]),
        ("a=é,b=\udcff", [("a", "é"), ("b", "\udcff")]),
    ],
)
def test_a_comma_that_is_quoted_or_escaped_is_part_of_the_value(
    text: str, options: list[tuple[str, str | None]]
) -> None:
    assert [named(item) for item in split([text])] == options


@pytest.mark.parametrize("text", ['a="b', "a=b\\", 'a="b\\"'])
def test_a_quote_that_nothing_ends_is_refused(text: str) -> None:
    with pytest.raises(OptionInvalid, match="quote"):
        parse_options([text])


@pytest.mark.parametrize(
    ("text", "kernel"),
    [
        ("ro,rw", set()),
        ("rw,ro", {"ro"}),
        ("noexec,exec,sync,async,ro", {"ro"}),
        ("async,sync,dirsync,noatime", {"sync", "dirsync", "noatime"}),
    ],
)
def test_of_two_that_contradict_each_other_the_later_one_wins(text: str, kernel: set[str]) -> None:
    assert parse_options(text.split(",")).kernel == kernel
    assert parse_options([text]).kernel == kernel


FSTAB = (
    "defaults _netdev nofail noauto auto user nouser users nousers owner group nogroup rw suid "
    "nosuid dev nodev exec async relatime norelatime strictatime lazytime nodiratime iversion "
    "nomand silent default_permissions x-systemd.automount x-systemd.idle-timeout=1min "
    "X-mount.mkdir=0755 x-gvfs-show comment=hello user=joe"
)


@pytest.mark.parametrize("option", FSTAB.split())
def test_what_fstab_has_for_every_filesystem_is_let_pass(option: str) -> None:
    assert parse_options([option]) == parse_options([])
    assert is_known(option)


@pytest.mark.parametrize(
    "option", ["no", "nouid=1", "wrong", "ro=1", "_netdev=1", "uid", "nodefaults"]
)
def test_what_nobody_knows_is_refused(option: str) -> None:
    assert not is_known(option)
    with pytest.raises(OptionInvalid, match="is not known"):
        parse_options([option])


def test_regression_a_key_that_was_taken_for_an_option_was_shown() -> None:
    with pytest.raises(OptionInvalid, match=r"-o api_key=… is not known") as refused:
        parse_options(["api_key=apikey_0123456789abcdef"])
    assert "0123456789" not in str(refused.value)


def test_a_remount_is_refused_with_what_to_do() -> None:
    with pytest.raises(OptionInvalid, match="umount it first"):
        parse_options(["rw,remount"])


def test_notify_is_applied_by_the_daemon_and_unknown_to_the_kernel() -> None:
    options = parse_options(["notify,allow_other"])
    assert options.notify
    assert options.kernel == {"allow_other"}
    assert not parse_options(["allow_other"]).notify
    assert is_known("notify")
