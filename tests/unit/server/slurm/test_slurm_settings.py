"""What an operator and a function may ask of a cluster."""

from __future__ import annotations

import pytest

from pifopfs.errors import OptionInvalid
from pifopfs.server.engines.slurm.settings import Settings


def test_options_are_those_of_sbatch() -> None:
    given = {"partition": "short", "account": "a", "qos": "q", "cpus": "4", "extra": "--nice=9 --x"}
    assert Settings.of(given).words() == [
        "--partition=short", "--account=a", "--qos=q", "--cpus-per-task=4", "--nice=9", "--x",
    ]  # fmt: skip
    assert Settings.of({}).words() == []


def test_what_a_function_asks_for_comes_after_what_the_server_gives() -> None:
    server = Settings.of({"partition": "short", "cpus": "2", "extra": "--nice=9"})
    asked = server.of_function({"cpus": "8", "extra": "--gres=gpu:1 --comment='a b'"})
    assert asked.words() == [
        "--partition=short", "--cpus-per-task=8", "--nice=9", "--gres=gpu:1", "--comment=a b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cpu": "4"}, "has no option cpu here; use partition, account"),
        ({"cpus": "four"}, "write a number above 0"),
        ({"cpus": "0"}, "write a number above 0"),
        ({"cpus": "1.5"}, "write a number above 0"),
        ({"rate": "nan"}, "write a number above 0"),
        ({"rate": "inf"}, "write a number above 0"),
        ({"most": "-1"}, "write a number above 0"),
        ({"probe": "maybe"}, "write yes or no"),
        ({"partition": ""}, "name one, as for sbatch --partition"),
        ({"qos": "--x"}, "name one, as for sbatch --qos"),
        ({"extra": "'"}, "mend its quotes"),
        ({"extra": "script.sh"}, "write script.sh as --NAME or --NAME=VALUE"),
        ({"extra": "-p short"}, "write -p as --NAME or --NAME=VALUE"),
        ({"extra": "--requeue"}, "leave out --requeue, which is the server's to say"),
        ({"extra": "--array=1-3"}, "leave out --array, which is the server's to say"),
        ({"extra": "--outp=/x"}, "leave out --outp, which is the server's to say"),
        ({"extra": "--arr=0-2"}, "leave out --arr, which is the server's to say"),
        ({"extra": "--cluster=x"}, "leave out --cluster, which is the server's to say"),
        ({"extra": "--mem-per-gpu=1"}, "leave out --mem-per-gpu, which is the server's to say"),
        ({"extra": "--output=/x"}, "leave out --output, which is the server's to say"),
    ],
)
def test_what_is_wrong_is_told_with_the_mend(given: dict[str, str], said: str) -> None:
    with pytest.raises(OptionInvalid) as told:
        Settings.of(given)
    assert said in str(told.value)


@pytest.mark.parametrize("name", ["rate", "most", "probe"])
def test_a_function_does_not_decide_how_the_server_works(name: str) -> None:
    with pytest.raises(OptionInvalid, match=f"has no option {name} here"):
        Settings().of_function({name: "1"})
