"""What can break, as a table: of requests and answers, of connections, and of the local disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.proxy import Act, Visit
from tests.faults.upstream import Answer

PAUSE = 0.1
"""Seconds between two bytes of an answer that dribbles."""
REDIRECTED = "elsewhere.test"
"""The host that redirects lead to."""


@dataclass(frozen=True)
class OfCalls:
    """A fault of some calls; the others work. `acted`: the service does what it is asked."""

    act: Act
    acted: bool = False


@dataclass(frozen=True)
class OfConnections:
    """A fault of every connection; `kind` is what the rig is told."""

    kind: str


@dataclass(frozen=True)
class OfTheDisk:
    """A fault of this machine; `kind` is what the rig is told."""

    kind: str


Fault = OfCalls | OfConnections | OfTheDisk


# ── Connections that break ────────────────────────────────────────────────────────────────────


def reset_before(visit: Visit) -> None:
    """When the request's head has come."""
    visit.reset()


def reset_during(visit: Visit) -> None:
    """In the middle of the request's body, or where it has none, of the answer's."""
    if visit.length:
        visit.rfile.read(visit.length // 2)
    else:
        answer = visit.pass_on()
        visit.wfile.write(answer.head() + _half(answer))
    visit.reset()


def reset_after(visit: Visit) -> None:
    """When the service has acted; the answer is lost."""
    visit.pass_on()
    visit.reset()


def stall(visit: Visit) -> None:
    """Never answer."""
    visit.hold()


def stall_after(visit: Visit) -> None:
    """Act, and never answer."""
    visit.pass_on()
    visit.hold()


def stall_body(visit: Visit) -> None:
    """Act, and never end the answer."""
    answer = visit.pass_on()
    visit.wfile.write(answer.head() + _half(answer))
    visit.hold()


def dribble(visit: Visit) -> None:
    """Act, and answer a byte now and then; the head of an output comes at once."""
    answer = visit.pass_on()
    healed, slow = visit.proxy.healed, answer.head() + answer.body
    if visit.seen.call == "output":
        visit.wfile.write(answer.head())
        slow = answer.body
    for position in range(len(slow)):
        visit.wfile.write(slow[position : position + 1])
        if healed.wait(PAUSE):
            break
    visit.close_connection = healed.is_set()


def _half(answer: Answer) -> bytes:
    return answer.body[: len(answer.body) // 2]


# ── Answers that are not right ────────────────────────────────────────────────────────────────


def short(visit: Visit) -> None:
    """The body ends before its end."""
    answer = visit.pass_on()
    visit.wfile.write(answer.head() + _half(answer))
    visit.close_connection = True


def long(visit: Visit) -> None:
    """More comes than was announced: the beginning of another answer."""
    answer = visit.pass_on()
    surplus = Answer(200, [], b"[]")
    visit.wfile.write(answer.head() + answer.body + surplus.head() + surplus.body)


def length(change: int | str) -> Act:
    """Announce so many bytes more, or what is no number."""

    def act(visit: Visit) -> None:
        answer = visit.pass_on()
        told = change if isinstance(change, str) else len(answer.body) + change
        visit.wfile.write(answer.head(told) + answer.body)

    return act


def rewrite(edit: Callable[[bytes], bytes]) -> Act:
    """Act, and answer another body."""

    def act(visit: Visit) -> None:
        answer = visit.pass_on()
        answer.body = edit(answer.body)
        visit.send(answer)

    return act


def _flying(body: bytes) -> bytes:
    document = json.loads(body)
    if "status" in document:
        document["status"] = "flying"
    return json.dumps(document).encode()


def refuse(code: int, *headers: tuple[str, str]) -> Act:
    """Do not act, and answer this code."""

    def act(visit: Visit) -> None:
        visit.rfile.read(visit.length)
        body = json.dumps({"errorMessage": f"told to say {code}"}).encode()
        visit.send(Answer(code, [("Content-Type", "application/json"), *headers], body))

    return act


def redirect(visit: Visit) -> None:
    """To another host, whose port the proxy knows."""
    where = f"https://{REDIRECTED}:{visit.proxy.elsewhere}{visit.path}"
    refuse(307, ("Location", where))(visit)


FAULTS: dict[str, Fault] = {
    "refused": OfConnections("refused"),
    "dns": OfConnections("dns"),
    "tls_untrusted": OfConnections("untrusted"),
    "tls_expired": OfConnections("expired"),
    "reset_before": OfCalls(reset_before),
    "reset_during": OfCalls(reset_during, acted=True),
    "reset_after": OfCalls(reset_after, acted=True),
    "stall": OfCalls(stall),
    "stall_after": OfCalls(stall_after, acted=True),
    "stall_body": OfCalls(stall_body, acted=True),
    "dribble": OfCalls(dribble, acted=True),
    "short": OfCalls(short, acted=True),
    "long": OfCalls(long, acted=True),
    "length_less": OfCalls(length(-5), acted=True),
    "length_more": OfCalls(length(5), acted=True),
    "length_garbage": OfCalls(length("many"), acted=True),
    "garbage": OfCalls(rewrite(lambda _: b"<html>surprise</html>"), acted=True),
    "missing_fields": OfCalls(rewrite(lambda _: b"{}"), acted=True),
    "unknown_status": OfCalls(rewrite(_flying), acted=True),
    "redirect": OfCalls(redirect),
    "401": OfCalls(refuse(401)),
    "403": OfCalls(refuse(403)),
    "404": OfCalls(refuse(404)),
    "409": OfCalls(refuse(409)),
    "413": OfCalls(refuse(413)),
    "429": OfCalls(refuse(429)),
    "429_later": OfCalls(refuse(429, ("Retry-After", "1"))),
    "500": OfCalls(refuse(500)),
    "503": OfCalls(refuse(503)),
    "503_later": OfCalls(refuse(503, ("Retry-After", "1"))),
    "503_much_later": OfCalls(refuse(503, ("Retry-After", "3600"))),
    "state_full": OfTheDisk("state_full"),
    "cache_full": OfTheDisk("cache_full"),
    "cache_gone": OfTheDisk("cache_gone"),
    "cache_read_only": OfTheDisk("cache_read_only"),
}
