"""The error tree and the tables over it are total and agree with what is written of them."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from pifopfs import cli, errors
from pifopfs.errors import PifopfsError
from pifopfs.fuse import errnos
from pifopfs.server.embedded import guest


def leaves(kind: type[PifopfsError] = PifopfsError) -> Iterator[type[PifopfsError]]:
    children = kind.__subclasses__()
    if not children:
        yield kind
    for child in children:
        yield from leaves(child)


def everything(kind: type[PifopfsError] = PifopfsError) -> Iterator[type[PifopfsError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from everything(child)


def test_the_docstring_draws_every_error() -> None:
    assert errors.__doc__ is not None
    drawn = {
        line.split("── ")[1].split()[0] for line in errors.__doc__.splitlines() if "── " in line
    }
    assert drawn == {kind.__name__ for kind in everything()} - {"PifopfsError"}


def test_every_error_that_reaches_the_kernel_has_an_errno_and_no_other_has() -> None:
    expected = {kind for kind in leaves() if not issubclass(kind, errors.SetupError)}
    assert set(errnos.ERRNOS) == expected


# > EAGAIN is never returned, because readers take it for an end.
def test_EAGAIN_is_never_answered_and_EINTR_only_for_a_signal() -> None:
    assert errno.EAGAIN not in errnos.ERRNOS.values()
    interrupted = [kind for kind, number in errnos.ERRNOS.items() if number == errno.EINTR]
    assert interrupted == [errors.Interrupted]


def test_every_error_has_an_exit_code_that_the_help_documents() -> None:
    documented = {
        int(line.split()[0]) for line in cli.EXIT_CODE_HELP.splitlines() if line.split()[:1] and
        line.split()[0].isdigit()
    }  # fmt: skip
    codes = {
        next(code for kind, code in cli.EXIT_CODES if issubclass(error, kind))
        for error in everything()
    }
    assert codes <= documented
    assert {code for _, code in cli.EXIT_CODES} == documented - {0}


def test_no_row_of_the_exit_codes_is_hidden_by_an_earlier_one() -> None:
    for index, (kind, _) in enumerate(cli.EXIT_CODES):
        assert not any(issubclass(kind, earlier) for earlier, _ in cli.EXIT_CODES[:index])


def test_a_server_that_finds_another_one_ends_with_the_code_that_its_client_expects() -> None:
    code = next(code for kind, code in cli.EXIT_CODES if issubclass(errors.StateLocked, kind))
    assert code == guest.TAKEN


@pytest.mark.parametrize("kind", list(leaves(errors.ServiceError)))
def test_every_failure_of_the_service_has_advice(kind: type[errors.ServiceError]) -> None:
    assert kind.advice.endswith(".")
    more = (errors.NoAnswer("", ""),) if kind is errors.ServiceDown else ()
    assert str(kind("start of exec_1", "500 oops", *more)) == "start of exec_1: 500 oops"


@pytest.mark.parametrize("kind", list(leaves(errors.TreeError)))
def test_every_error_of_the_tree_says_what_it_means(kind: type[errors.TreeError]) -> None:
    assert kind.meaning
    assert str(kind("x")) == f"x: {kind.meaning}"
    assert str(kind("x", "because")) == "x: because"
