"""Bodies that come packed though they were asked for as they are: a proxy may do that.

zlib alone says whether a packed body came to its end, and that another one begins behind it
(RFC 1952, 2.2): both would be lost in silence.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

CODINGS = ("gzip", "x-gzip", "deflate")
PIECE = 1 << 20
"""Bytes unpacked at once: a small body may be a very large one."""

GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class Unpacker:
    """Unpacks gzip (any number of members) and zlib. Raises zlib.error."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP_OR_ZLIB)
        self._begun = False

    @property
    def whole(self) -> bool:
        """Whether what was fed came to its end."""
        return self._member.eof or not self._begun

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes that `data` adds."""
        while data:
            if self._member.eof:
                data = data.lstrip(b"\0")  # with which a body may be filled up
                if not data:
                    return
                self._member = zlib.decompressobj(GZIP_OR_ZLIB)
            self._begun = True
            piece = self._member.decompress(data, PIECE)
            while piece:
                yield piece
                piece = self._member.decompress(self._member.unconsumed_tail, PIECE)
            data = self._member.unused_data
