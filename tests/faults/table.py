"""What each operation answers under each fault: docs/SEMANTICS.md, "Errors of the service"."""

from __future__ import annotations

from tests.faults.faults import FAULTS, OfCalls, OfConnections
from tests.faults.operations import OPERATIONS

OK = "OK"

MEANING = {
    "refused": "ECONNREFUSED",
    "dns": "EHOSTUNREACH",
    "tls_untrusted": "EPROTO",
    "tls_expired": "EPROTO",
    "reset_before": "EIO",
    "reset_during": "EIO",
    "reset_after": "EIO",
    "stall": "ETIMEDOUT",
    "stall_after": "ETIMEDOUT",
    "stall_body": "ETIMEDOUT",
    "dribble": "ETIMEDOUT",
    "short": "EIO",
    "long": OK,
    "length_less": "EIO",
    "length_more": "ETIMEDOUT",
    "length_garbage": "EIO",
    "garbage": "EIO",
    "missing_fields": "EIO",
    "unknown_status": "EIO",
    "redirect": "EIO",
    "401": "EACCES",
    "403": "EACCES",
    "404": "ENOENT",
    "409": "EIO",
    "413": "EFBIG",
    "429": "EBUSY",
    "429_later": "EBUSY",
    "500": "EIO",
    "503": "EBUSY",
    "503_later": "EBUSY",
    "503_much_later": "EBUSY",
    "state_full": OK,
    "cache_full": OK,
    "cache_gone": OK,
    "cache_read_only": OK,
}
"""What a fault means for an operation that meets it."""

EXCEPTIONS: dict[tuple[str, str], set[str]] = {
    # the service has started it, which the status then tells
    **{
        ("start", name): {OK}
        for name, fault in FAULTS.items()
        if isinstance(fault, OfCalls) and fault.acted
    },
    # too many executions of this key
    **{(call, code): {"EDQUOT"} for call in ("create", "start") for code in ("429", "429_later")},
    # it is told that it is gone
    ("status", "404"): {OK},
    # what is to be deleted is not there
    ("terminate", "404"): {OK},
    # an answer that says nothing of use lacks nothing of use
    ("upload", "missing_fields"): {OK},
    ("terminate", "missing_fields"): {OK},
    ("terminate", "unknown_status"): {OK},
    # differs from the size that was announced
    ("output", "length_more"): {"EIO"},
    # bytes that keep coming are no stall
    ("output", "dribble"): {OK},
    ("upload", "state_full"): {"ENOSPC"},
    # a name may still have room in the file of names
    ("create", "state_full"): {OK, "ENOSPC"},
    ("terminate", "state_full"): {OK, "ENOSPC"},
    ("log", "cache_full"): {"ENOSPC"},
    ("output", "cache_full"): {"ENOSPC"},
    ("log", "cache_read_only"): {"EIO"},
    ("output", "cache_read_only"): {"EIO"},
}

RETRIED = {
    "refused", "dns", "reset_before", "reset_during", "reset_after", "stall", "stall_after",
    "stall_body", "short", "length_more", "length_garbage", "429", "429_later", "503", "503_later",
}  # fmt: skip
"""What may pass: tried again, where that can do no harm."""
RETRIED_READS = {"500"}
NEVER_RETRIED = {"create", "start"}

BODY_BROKE = {"reset_during", "stall_body", "short", "length_more"}
"""Faults in the middle of an output, which begins anew only with the next open."""

CANNOT_BE = {
    ("function", "unknown_status"),
    ("upload", "unknown_status"),
    ("output", "unknown_status"),
    ("output", "missing_fields"),
}
"""There is no status and no field in these answers."""


def allowed(operation: str, fault: str, *, lasting: bool) -> set[str]:
    """The errnos, by name, that the operation may fail with, and `OK` where it may succeed."""
    always = EXCEPTIONS.get((operation, fault), {MEANING[fault]})
    return always if lasting or not _retried(operation, fault) else {OK}


def _retried(operation: str, fault: str) -> bool:
    """Whether a fault that is met once does no harm."""
    if operation == "output" and fault in BODY_BROKE:
        return False
    if operation == "start" and isinstance(FAULTS[fault], OfConnections):
        return fault in RETRIED  # it meets the question for the status that comes first
    if operation in NEVER_RETRIED:
        return False
    return fault in RETRIED or (fault in RETRIED_READS and OPERATIONS[operation].reads)
