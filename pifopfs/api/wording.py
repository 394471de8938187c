"""What a refusal says, in words that an error may show: printable, short, without the key."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from pifopfs.api.requests import LARGEST_DOCUMENT
from pifopfs.api.transport import translated

LONGEST_MESSAGE = 300


async def reason(response: httpx.Response, secrets: Collection[str]) -> str:
    """Why an answer is no success."""
    if response.has_redirect_location:
        host = _shown(_host(response.headers["Location"]), secrets)
        return f"it redirects to {host or 'another path'}, which is never followed"
    return f"{response.status_code} {_shown(await _message(response), secrets)}".strip()


async def _message(response: httpx.Response) -> str:
    """What the service says; its reason phrase where it says nothing."""
    body = b""
    with translated("an error's text"):
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LARGEST_DOCUMENT:
                break
    try:
        return str(json.loads(body)["errorMessage"])
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return response.reason_phrase


def _host(location: str) -> str:
    """The host of a redirect: the rest of it may be as secret as the request was."""
    try:
        return urlsplit(location).hostname or ""
    except ValueError:
        return ""


def _shown(text: str, secrets: Collection[str]) -> str:
    """Text of the service as an error may show it: printable, short, without the key."""
    text = "".join(c if c.isprintable() else " " for c in without_secrets(text, secrets))
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def without_secrets(text: str, secrets: Collection[str]) -> str:
    """The text without keys that the service sent back; a host's name comes in small letters."""
    if not secrets:
        return text
    forms = {form for key in secrets for form in (key, repr(key)[1:-1], json.dumps(key)[1:-1])}
    anyone = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(anyone, "…", text, flags=re.IGNORECASE)


def retry_after(value: str | None) -> float | None:
    """Seconds to wait, given as a number or a date; None where nothing useful is said."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
