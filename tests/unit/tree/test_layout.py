"""Names and inode numbers."""

import pytest

from pifopfs.errors import NameInvalid, NameTooLong
from pifopfs.tree import layout


def test_slots_are_unique_and_below_the_free_ones() -> None:
    slots = [fixed.slot for fixed in layout.FIXED.values()]
    assert len(set(slots)) == len(slots)
    assert max(slots) < layout.FIRST_FREE_SLOT
    assert layout.DIRECTORY_SLOT not in slots


def test_numbers_of_executions_never_meet_those_of_the_mount() -> None:
    assert layout.ino(1, 0) > layout.EXECUTIONS_INO
    assert layout.serial_of(layout.ino(7, 13)) == 7


def test_a_name_in_the_form_of_an_id_is_refused() -> None:
    with pytest.raises(NameInvalid, match="chosen by the service"):
        layout.check_execution_name("exec_ABC123")
    layout.check_execution_name("exec_ABC-123")
    layout.check_execution_name("my_exec_ABC")


def test_names_have_at_most_255_bytes() -> None:
    layout.check_name("ä" * 127)
    with pytest.raises(NameTooLong):
        layout.check_name("ä" * 128)


# > temporary names: `.*` `*~` `#*#` `sed??????` `4913` `*.tmp` `*.swp` `*.part`
@pytest.mark.parametrize(
    "name",
    [".coords.swp", "coords~", "#coords#", "sedAbC123", "4913", "a.tmp", "x.swp", "big.part"],
)
def test_temporary_names(name: str) -> None:
    assert layout.is_temporary(name)


@pytest.mark.parametrize("name", ["coords", "coords.csv", "sed", "sedation", "49130", "tmp"])
def test_names_that_are_not_temporary(name: str) -> None:
    assert not layout.is_temporary(name)


@pytest.mark.parametrize("id_", ["r", "result.json", "a b", "界" * 85, "\udcff", "-"])
def test_ids_that_a_file_can_be_named_after(id_: str) -> None:
    assert layout.is_file_name(id_)


@pytest.mark.parametrize("id_", ["", ".", "..", "a/b", "a\0b", "x" * 256, "界" * 86, "\ud800"])
def test_ids_that_no_file_can_be_named_after(id_: str) -> None:
    assert not layout.is_file_name(id_)
