"""What the rules of the machine choose from: mostly what makes a call succeed, or else anything."""

from __future__ import annotations

import os

from hypothesis import strategies as st

JOBS = st.sampled_from([0, 0, 0, 0, 0, 1, 1, 1, 2, "none"])
"""One that is there, by its number, or no such name."""
NEW_JOBS = st.sampled_from(["a", "b", "c", "d", "exec_A1"])
NAMES = st.sampled_from(
    ["coords", "coords", "coords", "coords", "model", "model", "model", "note", "x.tmp"]
)
FILES = st.sampled_from([0, 0, 0, 1, 1, 2, "coords", "note"])
"""One that is there, by its number, or any."""
ACCESS = st.sampled_from([os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
CREATION = st.sampled_from([0, os.O_CREAT, os.O_CREAT, os.O_CREAT | os.O_EXCL])
MANNER = st.sampled_from([0, 0, os.O_TRUNC, os.O_APPEND, os.O_APPEND | os.O_TRUNC])
OFFSETS = st.sampled_from([0, 1, 4095, 4096, 4097, 8191]) | st.integers(0, 9999)
SIZES = st.sampled_from([0, 0, 1, 4096]) | st.integers(0, 12000)
MODES = st.sampled_from([0o600, 0o700, 0o644])
WAYS = st.sampled_from(["write", "truncate", "touch"])


PLACES = st.none() | OFFSETS | st.tuples(OFFSETS)
"""Where a descriptor stands, at an offset, or at one that it is put to before."""


@st.composite
def data(draw: st.DrawFn) -> bytes:
    """A few bytes, or more than a page."""
    piece = draw(st.sampled_from([b"a", b"bc", b"\x00\xff", b"line\n"]))
    size = draw(st.sampled_from([1, 4096, 5000]) | st.integers(0, 300))
    return (piece * size)[:size]
