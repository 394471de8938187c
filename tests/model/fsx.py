"""fsx for an input: random operations on it and on a file of the local disk must do the same.

Run as `python fsx.py INPUT LOCAL SEED OPERATIONS`. Ends with 1 where they differ, after saying how,
and with which operations it came to that; the same seed does the same again.
"""

from __future__ import annotations

import mmap
import os
import random
import sys
from collections import deque
from collections.abc import Callable

LARGEST = 256 * 1024
REMEMBERED = 40
"""Operations told where the files differ."""


def difference(first: object, second: object) -> str:
    """In few words."""
    if not isinstance(first, bytes) or not isinstance(second, bytes):
        return f"the input has {first}, the local file {second}"
    shorter = min(len(first), len(second))
    place = next((at for at in range(shorter) if first[at] != second[at]), shorter)
    return (
        f"the input has {len(first)} bytes, the local file {len(second)}; from {place} on"
        f" {first[place : place + 16]!r} and {second[place : place + 16]!r}"
    )


class Pair:
    """An input and a local file, each with an open descriptor."""

    def __init__(self, paths: list[str], chance: random.Random) -> None:
        self.paths = paths
        self.chance = chance
        self.files: list[int] = []
        self.done: deque[str] = deque(maxlen=REMEMBERED)
        self.open(os.O_RDWR | os.O_CREAT)

    def open(self, flags: int) -> None:
        self.files = [os.open(path, flags, 0o600) for path in self.paths]

    def close(self) -> None:
        for file in self.files:
            os.close(file)

    @property
    def size(self) -> int:
        return os.fstat(self.files[1]).st_size

    def both(self, what: str, call: Callable[[int], object]) -> None:
        """Do it to both. Fails where the answers differ."""
        self.done.append(what)
        first, second = (call(file) for file in self.files)
        self.agree(what, first, second)

    def agree(self, what: str, first: object, second: object) -> None:
        if first != second:
            print(*self.done, sep="\n")  # noqa: T201
            print(f"{what}: {difference(first, second)}")  # noqa: T201
            sys.exit(1)

    def compare(self, *, afresh: bool = False) -> None:
        """Size and bytes, through the open descriptor or a new one."""
        sizes = [os.fstat(file).st_size for file in self.files]
        self.agree("the size", *sizes)
        if afresh:
            contents = []
            for path in self.paths:
                with open(path, "rb") as file:  # noqa: PTH123
                    contents.append(file.read())
        else:
            contents = [os.pread(file, LARGEST + 1, 0) for file in self.files]
        self.agree("the bytes", *contents)

    # ── Operations ───────────────────────────────────────────────────────────────────────────

    def span(self, end: int) -> tuple[int, int]:
        """A random offset and a size, both mostly odd, within `end`."""
        offset = self.chance.randrange(end)
        longest = min(end - offset, self.chance.choice([100, 100, 5_000, 5_000, LARGEST]))
        return offset, self.chance.randint(1, longest)

    def data(self, size: int) -> bytes:
        return self.chance.randbytes(size)

    def read(self) -> None:
        offset, size = self.span(LARGEST)
        self.both(f"pread({size}, {offset})", lambda file: os.pread(file, size, offset))

    def write(self) -> None:
        offset, size = self.span(LARGEST)
        data = self.data(size)
        self.both(f"pwrite({size}, {offset})", lambda file: os.pwrite(file, data, offset))

    def append(self) -> None:
        data = self.data(self.chance.randint(1, 3_000))
        if self.size + len(data) <= LARGEST:
            self.close()
            self.done.append("close, open to append")
            self.open(os.O_WRONLY | os.O_APPEND)
            self.both(f"write({len(data)})", lambda file: os.write(file, data))
            self.reopen()

    def truncate(self) -> None:
        size = self.chance.choice([0, self.size // 2, self.chance.randint(0, LARGEST)])
        self.both(f"ftruncate({size})", lambda file: os.ftruncate(file, size))

    def truncate_by_name(self) -> None:
        size = self.chance.randint(0, LARGEST)
        self.done.append(f"truncate({size})")
        for path in self.paths:
            os.truncate(path, size)

    def map_read(self) -> None:
        if size := self.size:
            offset, length = self.span(size)

            def look(file: int) -> bytes:
                with mmap.mmap(file, size, prot=mmap.PROT_READ) as mapping:
                    return mapping[offset : offset + length]

            self.both(f"mmap({size}), read({length}, {offset})", look)

    def map_write(self) -> None:
        if size := self.size:
            offset, length = self.span(size)
            data, sync = self.data(length), self.chance.random() < 0.7

            def store(file: int) -> None:
                with mmap.mmap(file, size) as mapping:
                    mapping[offset : offset + length] = data
                    if sync:
                        mapping.flush()

            self.both(f"mmap({size}), write({length}, {offset}), msync: {sync}", store)

    def fsync(self) -> None:
        self.both("fsync", os.fsync)

    def reopen(self) -> None:
        flags = os.O_RDWR | (os.O_TRUNC if self.chance.random() < 0.05 else 0)
        self.close()
        self.done.append(f"close, open({flags})")
        self.open(flags)


WEIGHTS = {
    Pair.read: 20,
    Pair.write: 30,
    Pair.append: 2,
    Pair.truncate: 10,
    Pair.truncate_by_name: 2,
    Pair.map_read: 14,
    Pair.map_write: 18,
    Pair.fsync: 1,
    Pair.reopen: 3,
}


def main() -> None:
    """As the arguments say."""
    paths, (seed, operations) = sys.argv[1:3], map(int, sys.argv[3:])
    chance = random.Random(seed)
    pair = Pair(paths, chance)
    chosen = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=operations)
    for number, operation in enumerate(chosen):
        operation(pair)
        if number % 10 == 0:
            pair.compare(afresh=number % 100 == 0)
    pair.compare()
    pair.close()


if __name__ == "__main__":
    main()
