"""A writable handle of an input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Writer:
    """What one writable handle has done so far."""

    wrote: bool = False
    """… since its last flush that uploaded."""
    uploaded: bool = False
    """One of its flushes has uploaded."""
    poisoned: bool = False
    """A write failed: its bytes have a hole, and its tool knows."""
