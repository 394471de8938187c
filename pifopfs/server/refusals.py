"""Requests that are not granted, by meaning; `answers` turns them into HTTP."""

from __future__ import annotations


class Refusal(Exception):
    """A request is not granted. The message is for the caller."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unknown(Refusal):
    """There is no such function, execution, input or output."""

    code = 404


class KeyNeeded(Refusal):
    """There is no key in the request, or none of this function."""

    code = 401


class MasterKeyNeeded(Refusal):
    """An API key is not enough."""

    code = 403


class TooSlow(Refusal):
    """Nothing of a body has come for long."""

    code = 408


class NameTaken(Refusal):
    """There is an API key of this name."""

    code = 409


class WrongState(Refusal):
    """The state of the execution does not allow it."""

    code = 409


class TooLarge(Refusal):
    """An input is longer than this server takes."""

    code = 413


class TooManyExecutions(Refusal):
    """As many as its key allows run already."""

    code = 429


class NotOffered(Refusal):
    """This server does not have it."""

    code = 501


class CannotRunNow(Refusal):
    """The function's command cannot run now."""

    code = 503


class Broken(Refusal):
    """Something of the server's own is not right."""

    code = 500
