"""A short round trip through the cities of coords.csv, written to result.json.

In: a CSV with the header x,y. Out: {"tour": [0-based rows], "length": L} with distances rounded
to whole numbers as TSPLIB's EUC_2D does. Iterated local search: 2-opt and or-opt moves among near
neighbours, then small random kicks, for a few seconds. The standard library is all it needs.
"""

from __future__ import annotations

import csv
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SECONDS = 4.0
"""How long the kicks go on; less where nothing better is to be expected."""
PATIENCE = 40
"""Kicks without success, for each city, after which that is so."""
NEIGHBOURS = 8
SEGMENT = 3
"""Cities that an or-opt move takes along, at most."""
KICK = 30
"""Positions that a kick spans, at most."""

City = tuple[float, float]


def read_cities(path: Path) -> list[City]:
    """The rows of the file. Exits with a sentence that says what is wrong with it."""
    if not path.exists():
        sys.exit("there is no input coords: upload a CSV with the header x,y")
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = list(csv.reader(file))
    if not rows or [name.strip().lower() for name in rows[0]] != ["x", "y"]:
        sys.exit("coords: line 1: the header x,y is missing")
    cities = []
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        try:
            x, y = map(float, row)
        except ValueError:
            sys.exit(f"coords: line {number}: {','.join(row)!r} is not two numbers")
        if not (math.isfinite(x) and math.isfinite(y)):
            sys.exit(f"coords: line {number}: {','.join(row)!r} is not finite")
        cities.append((x, y))
    if not cities:
        sys.exit("coords: there are no cities below the header")
    return cities


class Search:
    """A tour, and its improvement. `at[c]` is the position of city c in `tour`."""

    def __init__(self, cities: Sequence[City]) -> None:
        self.cities = cities
        self.size = len(cities)
        self.near = [self._nearest(city) for city in range(self.size)]
        self.tour = self._greedy()
        self.at = [0] * self.size
        self._index(0, self.size)

    def distance(self, a: int, b: int) -> int:
        """TSPLIB's EUC_2D."""
        (ax, ay), (bx, by) = self.cities[a], self.cities[b]
        return int(math.hypot(ax - bx, ay - by) + 0.5)

    def length(self) -> int:
        return sum(self.distance(self.tour[i - 1], self.tour[i]) for i in range(self.size))

    def _nearest(self, city: int) -> list[int]:
        others = (other for other in range(self.size) if other != city)
        by_distance = sorted(others, key=lambda other: self.distance(city, other))
        return by_distance[:NEIGHBOURS]

    def _greedy(self) -> list[int]:
        """Always on to the nearest city that is left."""
        tour, left = [0], set(range(1, self.size))
        while left:
            here = tour[-1]
            choice = [city for city in self.near[here] if city in left] or left
            there = min(choice, key=lambda city: self.distance(here, city))
            left.remove(there)
            tour.append(there)
        return tour

    def _index(self, start: int, end: int) -> None:
        for position in range(start, end):
            self.at[self.tour[position]] = position

    def _replace(self, start: int, end: int, cities: list[int]) -> None:
        self.tour[start:end] = cities
        self._index(start, end)

    def improve(self, waiting: list[int]) -> None:
        """Local search from the cities in `waiting`, until no move there helps."""
        while waiting:
            city = waiting.pop()
            touched = self._two_opt(city) or self._or_opt(city)
            if touched:
                waiting.append(city)
                waiting.extend(touched)

    def _two_opt(self, a: int) -> list[int]:
        """Replace the edges a-b and c-d by a-c and b-d; the cities touched, none: no such move."""
        tour, at, size, distance = self.tour, self.at, self.size, self.distance
        for step in (1, -1):
            b = tour[(at[a] + step) % size]
            old = distance(a, b)
            for c in self.near[a]:
                gain = old - distance(a, c)
                if gain <= 0:
                    break
                d = tour[(at[c] + step) % size]
                if gain + distance(c, d) - distance(b, d) > 0:
                    first, last = (at[b], at[c]) if step == 1 else (at[a], at[d])
                    if first > last:
                        first, last = (at[d], at[a]) if step == 1 else (at[c], at[b])
                    self._replace(first, last + 1, tour[first : last + 1][::-1])
                    return [b, c, d]
        return []

    def _or_opt(self, a: int) -> list[int]:
        """Move a segment that begins or ends with `a` next to a near city, either way round."""
        tour, distance = self.tour, self.distance
        for first, segment in self._segments(a):
            head, tail = segment[0], segment[-1]
            before, after = tour[first - 1], tour[first + len(segment)]
            freed = distance(before, head) + distance(tail, after) - distance(before, after)
            for c in self.near[a]:
                if distance(a, c) >= freed:
                    break
                for left, right in self._gaps(c, {*segment}, {before, after}):
                    gain = freed + distance(left, right)
                    straight = gain - distance(left, head) - distance(tail, right)
                    turned = gain - distance(left, tail) - distance(head, right)
                    if max(straight, turned) > 0:
                        moved = segment if straight >= turned else segment[::-1]
                        self._move(first, moved, left, right)
                        return [before, after, left, right, head, tail]
        return []

    def _segments(self, a: int) -> Iterator[tuple[int, list[int]]]:
        """Short segments that begin or end with `a`, with the position of their first city."""
        for length in range(1, min(SEGMENT, self.size - 3) + 1):
            for first in {self.at[a], self.at[a] - length + 1}:
                if first >= 1 and first + length < self.size:
                    yield first, self.tour[first : first + length]

    def _gaps(self, c: int, segment: set[int], around: set[int]) -> Iterator[tuple[int, int]]:
        """The edges at `c` that neither touch the segment nor close the gap that it leaves."""
        position = self.at[c]
        for p, q in ((position, (position + 1) % self.size), (position - 1, position)):
            left, right = self.tour[p], self.tour[q]
            if segment.isdisjoint((left, right)) and {left, right} != around:
                yield left, right

    def _move(self, first: int, segment: list[int], left: int, right: int) -> None:
        """Put the segment that is at `first` between the neighbours left and right."""
        end, target = first + len(segment), self.at[left]
        if target < first and self.at[right] <= first and target + 1 != self.size:
            self._replace(target + 1, end, segment + self.tour[target + 1 : first])
        else:
            self._replace(first, target + 1, self.tour[end : target + 1] + segment)

    def kick(self, chance: random.Random) -> tuple[int, list[int]]:
        """Exchange two neighbouring stretches; where, and what was there before."""
        span = min(KICK, self.size)
        start = chance.randrange(self.size - span + 1)
        i, j, k = sorted(chance.sample(range(1, span), 3)) if span > 3 else (1, 2, span)
        old = self.tour[start : start + span]
        self._replace(start, start + span, old[:i] + old[j:k] + old[i:j] + old[k:])
        return start, [old[i - 1], old[i], old[j - 1], old[j], old[k - 1], old[k % span]]


def solve(cities: Sequence[City], seconds: float) -> tuple[list[int], int]:
    """A tour and its length; prints progress."""
    began = time.monotonic()
    search = Search(cities)
    print(f"{len(cities)} cities; from one to the nearest left: {search.length()}", flush=True)
    search.improve(list(range(search.size)))
    best, length = search.tour[:], search.length()
    print(f"{time.monotonic() - began:5.2f} s: {length}", flush=True)
    chance, failures = random.Random(52), 0
    while search.size > 4 and failures < PATIENCE * search.size:
        if time.monotonic() - began > seconds:
            break
        _, touched = search.kick(chance)
        search.improve(touched)
        now = search.length()
        if now < length:
            print(f"{time.monotonic() - began:5.2f} s: {now}", flush=True)
        if now <= length:
            failures = failures + 1 if now == length else 0
            best, length = search.tour[:], now
        else:
            failures += 1
            search.tour = best[:]
            search._index(0, search.size)
    return best, length


def main() -> None:
    cities = read_cities(Path("coords.csv"))
    tour, length = solve(cities, SECONDS)
    Path("result.json").write_text(json.dumps({"tour": tour, "length": length}) + "\n")
    print(f"length {length}", flush=True)


if __name__ == "__main__":
    main()
