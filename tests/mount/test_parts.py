"""Who reads here and there in a large output waits for the parts that he reads only."""

from __future__ import annotations

import random
import threading
import zlib

import pytest

from tests.fakeservice import FakeService, Handler, until
from tests.mount.harness import Mount
from tests.mount.test_outputs import ended

SIZE = 70_000_000
LARGE = random.Random(5).randbytes(SIZE)

READ = """
import os, sys
file = os.open("executions/j/output/result", os.O_RDONLY)
for offset in map(int, sys.argv[1].split(",")):
    sys.stdout.write(os.pread(file, 65536, offset).hex() + "\\n")
"""


@pytest.fixture
def large(job: Mount, service: FakeService) -> Mount:
    """A mount whose execution `j` has a large output, `result`, of which parts can be had."""
    service.supports_ranges = True
    ended(job, service, result=LARGE)
    return job


def read(mount: Mount, *offsets: int) -> list[bytes]:
    """64 KiB at each offset, by one process that opens the file once."""
    script = mount.root / "read.py"
    script.write_text(READ)
    out = mount.out(f"python3 {script} {','.join(map(str, offsets))}")
    return [bytes.fromhex(line) for line in out.splitlines()]


def expected(*offsets: int) -> list[bytes]:
    return [LARGE[offset : offset + 65536] for offset in offsets]


# > Where a service sends parts of an output, and says by an `ETag` of what (a strong one), a read
# > far from what is there asks for a part;
def test_reads_here_and_there_ask_for_parts_only(large: Mount, service: FakeService) -> None:
    offsets = [60_000_000, 20_000_001, SIZE - 65536, 20_000_001 + 65536, SIZE - 100]
    assert read(large, *offsets) == expected(*offsets)
    assert len(service.ranges) == 3
    assert service.count("output") == 3, "each of them was a part"
    assert large.out("cat executions/j/error") == ""


# > who goes on reading behind it gets the rest.
def test_who_reads_on_behind_a_part_gets_the_rest_at_once(
    large: Mount, service: FakeService
) -> None:
    large.sh(
        f"tail -c +30000001 executions/j/output/result | cmp -n {SIZE} - {_copy(large)}",
    )
    assert service.count("output") <= 3


def _copy(mount: Mount) -> str:
    """What `tail` should give."""
    path = mount.root / "copy"
    path.write_bytes(LARGE[30_000_000:])
    return str(path)


def test_a_part_is_read_while_all_of_it_is_on_its_way(large: Mount, service: FakeService) -> None:
    release = threading.Event()
    service.fault("output", slow(release), times=1)
    reading = large.spawn("sh", "-c", "cat executions/j/output/result | cksum")
    until(lambda: service.count("output") == 1)
    assert read(large, 50_000_000) == expected(50_000_000)
    release.set()
    assert reading.wait(30) == 0
    assert service.ranges, "the part was asked for"


def slow(release: threading.Event) -> object:
    """All of it, but its beginning only until `release`."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("ETag", f'"{zlib.crc32(LARGE)}"')
        handler.send_header("Accept-Ranges", "bytes")
        handler.send_header("Content-Length", str(SIZE))
        handler.end_headers()
        handler.wfile.write(LARGE[:9_000_000])
        release.wait(30)
        handler.wfile.write(LARGE[9_000_000:])

    return answer


# > An output that has changed meanwhile is an error, never a mixture.
def test_parts_of_two_outputs_are_never_mixed(large: Mount, service: FakeService) -> None:
    large.expected.append("download of output result")
    script = large.root / "changed.py"
    script.write_text(
        """
import os, sys
file = os.open("executions/j/output/result", os.O_RDONLY)
print(len(os.pread(file, 65536, 60_000_000)))
sys.stdout.flush()
sys.stdin.readline()
try:
    os.pread(file, 65536, 20_000_000)
except OSError as error:
    print(error.strerror)
"""
    )
    reading = large.spawn("python3", str(script), stdin=-1)
    assert reading.stdout is not None
    assert reading.stdout.readline() == "65536\n"
    service.only().outputs["result"] = LARGE[::-1]
    out, _ = reading.communicate("\n", timeout=30)
    assert out == "Input/output error\n"


def test_a_complete_output_made_of_parts_and_the_rest_is_cached(
    large: Mount, service: FakeService
) -> None:
    script = large.root / "all.py"
    script.write_text(
        """
import os
file = os.open("executions/j/output/result", os.O_RDONLY)
os.pread(file, 65536, 40_000_000)
offset = 0
while piece := os.pread(file, 1 << 20, offset):
    os.write(1, piece)
    offset += len(piece)
"""
    )
    (large.root / "whole").write_bytes(LARGE)
    large.sh(f"python3 {script} | cmp - {large.root}/whole")
    before = service.count("output")
    large.sh(f"cmp executions/j/output/result {large.root}/whole")
    assert service.count("output") == before
