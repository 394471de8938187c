"""What a folder's server says of the manner in which it runs programs."""

from __future__ import annotations

import pytest

from pifopfs.server.embedded.manner import Manner

SLURM = Manner("none", "slurm", {"cpus": "4", "extra": "--nice=5 --x\n"})


@pytest.mark.parametrize("manner", [Manner(), Manner("none"), Manner("none", "slurm"), SLURM])
def test_it_is_told_on_one_line_and_understood(manner: Manner) -> None:
    assert "\n" not in manner.text()
    assert Manner.told(manner.text()) == manner
    assert Manner(**manner.document()) == manner


def test_the_order_of_options_makes_no_other_manner() -> None:
    options = dict(reversed(SLURM.options.items()))
    assert Manner.told(Manner("none", "slurm", options).text()) == SLURM


def test_a_server_before_there_were_engines_is_understood_and_understands() -> None:
    assert Manner.told("bubblewrap") == Manner()
    assert Manner("none").text() == "none"


@pytest.mark.parametrize("text", ["{", '{"isolation": "none", "more": 1}', "{}x"])
def test_what_is_no_manner(text: str) -> None:
    with pytest.raises(ValueError):
        Manner.told(text)


@pytest.mark.parametrize(
    ("there", "wanted", "words"),
    [
        (Manner(), Manner("none"), "--isolation bubblewrap"),
        (Manner(), SLURM, "--isolation bubblewrap --engine local"),
        (Manner("none", "slurm", {"a": "b c"}), SLURM, "--engine-option 'a=b c'"),
        (Manner("none", "slurm"), SLURM, "no --engine-option"),
        (Manner("none", "slurm", {"a": "1", "b": "2"}), Manner("none"),
         "--engine slurm --engine-option a=1 --engine-option b=2"),
    ],
)  # fmt: skip
def test_in_what_it_differs_is_told_as_the_command_line_has_it(
    there: Manner, wanted: Manner, words: str
) -> None:
    assert there.beside(wanted) == words
