"""Tools on `output/`: each gives what it gives for a local file, at the cost of one download.

A row is run on an output of three million odd bytes and on an empty one, of services that tell
the length of an output, or don't.
"""

from __future__ import annotations

import gzip
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.mount.tools.site import Job, Site, run, shared_site, skip_without

CONTENT = random.Random(1985).randbytes(3 * 2**20 + 12_345)
OUTPUTS = {
    "result": CONTENT,
    "empty": b"",
    "result.gz": gzip.compress(CONTENT[:100_000]),
    "empty.gz": gzip.compress(b""),
}
SERVICES = {"tells lengths": (True, True), "tells no length": (False, False)}
"""Whether it answers HEAD, and whether it sends a Content-Length."""


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Site:
    return shared_site(request.session)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on the local disk that holds the same outputs."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "output").mkdir()
    for name, content in OUTPUTS.items():
        (folder / "output" / name).write_bytes(content)
    return folder


def ended(site: Site, service: str) -> Job:
    """An execution that has ended, of such a service."""
    site.service.supports_head, site.service.tells_length = SERVICES[service]
    return site.create("echo 1 > start; cat wait", **OUTPUTS)


# ── The rows ──────────────────────────────────────────────────────────────────────────────────

PYTHON_ZIP = """
import hashlib, sys, zipfile
name, archive = sys.argv[1:]
with zipfile.ZipFile(archive, "w") as file:
    file.write(name, "it")
print(hashlib.sha256(zipfile.ZipFile(archive).read("it")).hexdigest())
"""

PYTHON_MMAP = """
import hashlib, mmap, sys
with open(sys.argv[1], "rb") as file:
    with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        print(len(mapped), hashlib.sha256(mapped).hexdigest(), mapped[-9:])
"""

PYTHON_MEMMAP = """
import sys, numpy
mapped = numpy.memmap(sys.argv[1], numpy.uint8, "r")
print(len(mapped), mapped.sum(), mapped[1_000_000:1_000_009], mapped[::-4096].sum())
"""

PYTHON_SENDFILE = """
import os, sys
with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as target:
    while os.sendfile(target.fileno(), source.fileno(), None, 1 << 20):
        pass
"""

PYTHON_SEEKS = """
import hashlib, os, random, sys
with open(sys.argv[1], "rb", buffering=0) as file:
    size, digest, random = file.seek(0, os.SEEK_END), hashlib.sha256(), random.Random(7)
    for _ in range(200):
        file.seek(random.randrange(size + 1))
        digest.update(file.read(random.randrange(1, 70_000)))
print(size, digest.hexdigest())
"""

MAKEFILE = r"""
printf 'copy: %s\n\tcp $< $@\n' "$PWD/$F" > $T/Makefile
make -s -C $T && touch $T/copy && make -s -q -C $T && sha256sum < $T/copy
"""

EIGHT_READERS = """
for n in 0 1 2 3 4 5 6 7; do tail -c +$((n * 300001)) $F | sha256sum > $T/$n & done
wait; cat $T/[0-7]
"""

READERS_AND_A_SLOW_ONE = """
(sleep 0.2; exec sha256sum) < $F > $T/slow &
for n in 1 2 3; do sha256sum < $F > $T/$n & done
wait; cat $T/[1-3] $T/slow
"""

ROWS = {
    "cat": "cat $F | sha256sum",
    "cp": "cp $F $T/copy && sha256sum < $T/copy",
    "cp over a copy": "for n in 1 2; do cp $F $T/copy; done && sha256sum < $T/copy",
    "cp -p": "cp -p $F $T/copy && sha256sum < $T/copy && [ ! $F -nt $T/copy -a ! $F -ot $T/copy ]",
    "cp -r output": "cp -r output $T/all && sha256sum < $T/$F",
    "install": "install -m 640 $F $T/copy && sha256sum < $T/copy && stat -c %a $T/copy",
    "cmp": "cmp $F $L/$F && echo same",
    "diff": "diff $F $L/$F && echo same",
    "sha256sum": "sha256sum $F",
    "wc -c": "wc -c < $F",
    "tar c": "tar c $F | tar xO | sha256sum",
    "tar c output": "tar c output | tar xO $F | sha256sum",
    "python zipfile": f"$PY -c '{PYTHON_ZIP}' $F $T/zip",
    "python open().read()": "$PY -c 'print(hash(open(\"'$F'\", \"rb\").read()))'",
    "python random seeks": f"$PY -c '{PYTHON_SEEKS}' $F",
    "mmap": f"$PY -c '{PYTHON_MMAP}' $F",
    "numpy.memmap": f"$PY -c '{PYTHON_MEMMAP}' $F",
    "shutil.copyfile": (
        "$PY -c \"import shutil; shutil.copyfile('$F', '$T/copy')\"; sha256sum < $T/copy"
    ),
    "sendfile": f"$PY -c '{PYTHON_SENDFILE}' $F $T/copy; sha256sum < $T/copy",
    "dd": "dd if=$F bs=65537 status=none | sha256sum",
    "dd skip=": "dd if=$F bs=777 skip=1001 count=13 status=none | sha256sum",
    "dd seek=": "dd if=$F of=$T/copy bs=100003 seek=3 status=none; sha256sum < $T/copy",
    "dd iflag=direct": "dd if=$F bs=64K iflag=direct status=none | sha256sum",
    "head -c": "head -c 100001 $F | sha256sum",
    "tail -c": "tail -c 100001 $F | sha256sum",
    "tail -c +N": "tail -c +1000001 $F | sha256sum",
    "od": "od -A d -t x1 -j 1000001 -N 64 $F",
    "split": "split -b 1000000 $F $T/part. && cat $T/part.* | sha256sum",
    "rsync -a": "rsync -a $F $T/copy && sha256sum < $T/copy",
    "curl file://": "curl -s file://$PWD/$F | sha256sum",
    "git hash-object": "git hash-object $F",
    "gzip -dc": "gzip -dc $F.gz | sha256sum",
    "ln -s": "ln -s $PWD/$F $T/link && sha256sum < $T/link && tail -c 9 $T/link | od",
    "make": MAKEFILE,
    "eight readers at once": EIGHT_READERS,
    "fast readers and a slow one": READERS_AND_A_SLOW_ONE,
    "busybox cat": "busybox cat $F | sha256sum",
    "busybox cp": "busybox cp $F $T/copy && sha256sum < $T/copy",
    "busybox wc -c": "busybox wc -c < $F",
    "busybox tail -c": "busybox tail -c 100001 $F | sha256sum",
    "uutils cat": "$U/cat $F | sha256sum",
    "uutils cp": "$U/cp $F $T/copy && sha256sum < $T/copy",
    "uutils wc -c": "$U/wc -c < $F",
    "uutils tail -c": "$U/tail -c 100001 $F | sha256sum",
}
"""Shell commands on the file `$F`; `$L` is a folder on the local disk with the same files."""


DOWNLOADS = {"head -c": (1, 2), "dd skip=": (1, 2), "od": (1, 2), "wc -c": (0, 1)}
"""Where it is not one: who leaves early gives the download up; who asks for the size needs none."""


@pytest.mark.parametrize("name", ROWS)
def test_tool(site: Site, local: Path, name: str) -> None:
    skip_without(ROWS[name])
    script = prepared(ROWS[name], local)
    expected = run(local, site.scratch(), script).stdout
    for service in SERVICES:
        job = ended(site, service)
        before = len(site.service.requests)
        assert job.sh(script).stdout == expected, service
        requests = [file for kind, file in site.asked_since(before) if kind == "output"]
        most = max(Counter(requests).values(), default=0)
        assert most in DOWNLOADS.get(name.removeprefix("uutils "), (1,)), (service, requests)
    site.check_log()


def prepared(command: str, local: Path) -> str:
    """A script that runs a command on both outputs, and on the first one once more."""
    return f"""
L={local} base=$T
for F in output/result output/empty output/result; do
    T=$(mktemp -d $base/XXXXXX); ({command}) 2>/dev/null; echo "$F: $?"; rm -r $T
done; true
"""
