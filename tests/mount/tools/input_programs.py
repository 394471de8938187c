"""More rows as in input_recipes.py: small systems' tools, and programs in some languages."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace

from tests.mount.tools.input_recipes import (
    COREUTILS,
    ELSEWHERE,
    HALVES,
    OTHERS,
    SHELLS,
    WITHDRAWN,
    Row,
)

WRITER = """
import os, sys
sys.stdin.readline(); file = os.open('coords', os.O_WRONLY | os.O_CREAT, 0o600); print(flush=True)
sys.stdin.readline(); os.write(file, sys.argv[1].encode()); print(flush=True)
sys.stdin.readline(); os.close(file); print(flush=True)
"""
"""Opens, writes and closes, each when told to."""

PYTHON = {
    "open('w')": Row("with open('coords', 'w') as f: f.write('1,2\\n' * 5000)"),
    "open('w') over an input": Row("with open('coords', 'w') as f: f.write('1,2\\n')", over=True),
    "open('a')": Row("with open('coords', 'a') as f: f.write('1,2\\n')", over=True),
    "open('r+')": Row(
        "with open('coords', 'r+b') as f: f.seek(5); f.write(b'XY'); f.truncate(20)", over=True
    ),
    "open('x')": Row("with open('coords', 'x') as f: f.write('x')"),
    "open('x') of an input": Row(
        "try: open('coords', 'x')\nexcept FileExistsError as e: print(e)",
        0,
        over=True,
        note="EEXIST",
    ),
    "open('w') never closed": Row("open('coords', 'w').write('1,2')"),
    "pathlib.Path.write_bytes": Row("pathlib.Path('coords').write_bytes(SRC.read_bytes())"),
    "pathlib.Path.replace": Row(
        "p = pathlib.Path('x.tmp'); p.write_bytes(b'x'); p.replace('coords')", over=True, later=True
    ),
    "shutil.copyfile": Row("shutil.copyfile(SRC, 'coords')"),
    "shutil.copy": Row("shutil.copy(SRC, 'coords')"),
    "shutil.copy2": Row("shutil.copy2(SRC, 'coords')", over=True),
    "shutil.move": Row(
        "E = f'/dev/shm/pf-{os.getpid()}'; shutil.copy2(SRC, E); shutil.move(E, 'coords')"
    ),
    "shutil.copytree": Row("shutil.copytree(T / 'folder', '.', dirs_exist_ok=True)", uploads=2),
    "tempfile and os.replace": Row(
        "f = tempfile.NamedTemporaryFile(dir='.', delete=False)\n"
        "f.write(b'1,2'); f.close(); os.replace(f.name, 'coords')",
        over=True,
        later=True,
    ),
    "tempfile.TemporaryFile": Row(
        "with tempfile.TemporaryFile(dir='.') as f: f.write(b'1,2')",
        uploads=0,
        note="it was never there for `start`",
    ),
    "mmap": Row(
        "with open('coords', 'r+b') as f, mmap.mmap(f.fileno(), 0) as m: m[5:7] = b'XY'",
        over=True,
    ),
    "os.posix_fallocate": Row(
        "f = os.open('coords', os.O_RDWR | os.O_CREAT, 0o600)\n"
        "os.posix_fallocate(f, 0, 9999); os.close(f)"
    ),
    "os.truncate": Row("os.truncate('coords', 7)", over=True, later=True),
    "os.sendfile": Row(
        "with open(SRC, 'rb') as s, open('coords', 'wb') as d:\n"
        " os.sendfile(d.fileno(), s.fileno(), 0, 1000)"
    ),
    "subprocess with stdout=": Row(
        "with open('coords', 'wb') as f: subprocess.run(['cat', SRC], stdout=f, check=True)"
    ),
    "a child that inherits the descriptor": Row(
        "f = open('coords', 'wb', buffering=0); f.write(b'half')\n"
        "os.system('true'); f.write(b' and half'); f.close()",
        uploads=2,
        later=True,
        note=HALVES,
    ),
    "two writers": Row(
        "def spawn(what):\n"
        "    command = [sys.executable, '-c', WRITER, what]\n"
        "    return subprocess.Popen(command, stdin=-1, stdout=-1, text=True)\n"
        "def step(writer):\n"
        "    writer.stdin.write('\\n'); writer.stdin.flush(); writer.stdout.readline()\n"
        f"WRITER = {WRITER!r}\n"
        "one, two = spawn('long'), spawn('to')\n"
        "step(one); step(two); step(one); step(one); step(two); step(two)",
        uploads=2,
        note="the last state of the bytes counts",
    ),
    "sqlite3": Row(
        "d = sqlite3.connect('coords'); d.execute('create table t (x)'); d.commit(); d.close()"
    ),
    "zipfile": Row("with zipfile.ZipFile('coords', 'w') as z: z.write(T / 'text', 'text')"),
    "numpy.save": Row("with open('coords', 'wb') as f: numpy.save(f, numpy.arange(5000.0))"),
    "numpy.savetxt": Row(
        "numpy.savetxt('coords', numpy.eye(50))", uploads=2, note="numpy opens the file twice"
    ),
    "numpy.ndarray.tofile": Row("numpy.arange(5000.0).tofile('coords')", over=True),
    "numpy.memmap": Row(
        "m = numpy.memmap('coords', 'float64', 'w+', shape=5000); m[:] = range(5000); m.flush()",
        uploads=2,
        later=True,
        note=HALVES,
    ),
}

C = {
    "stdio, fprintf": Row("stdio"),
    "stdio, fprintf byte by byte, unbuffered": Row("bytes"),
    "stdio, fflush after each line": Row("flushes"),
    "stdio, fopen a": Row("adds", over=True),
    "stdio, fopen r+": Row("updates", over=True),
    "stdio, never closed": Row("leaves_open"),
    "O_APPEND, two descriptors": Row("appends", uploads=1),
    "O_EXCL": Row("exclusive"),
    "O_EXCL of an input": Row("exclusive || true", 0, over=True, note="EEXIST"),
    "posix_fallocate": Row("reserves", note="the C library writes zeros"),
    "unlink while open": Row("unlinks", uploads=0, note="it was never there for `start`"),
    "fork": Row("forks", uploads=2, later=True, note=HALVES),
    "popen": Row("pipes"),
    "mmap and msync after close": Row("maps", uploads=2, later=True, note=HALVES),
    "writev, pwrite, O_SYNC, fsync": Row("scatters"),
}
FORTRAN = {
    "WRITE": Row("formatted"),
    "WRITE over an input": Row("formatted", over=True),
    "WRITE of unformatted records": Row("records"),
    "WRITE with POSITION='APPEND'": Row("append", over=True),
    "WRITE with ACCESS='DIRECT'": Row("direct"),
}
SMALL = {
    "cp": Row("${X}cp $T/src coords"),
    "cp over an input": Row("${X}cp $T/src coords", over=True),
    "cp -p": Row("${X}cp -p $T/src coords"),
    "cp folder/* input": Row("${X}cp $T/folder/* .", uploads=2),
    "cat >": Row("${X}cat $T/src > coords"),
    "dd": Row("${X}dd if=$T/src of=coords bs=7k 2> /dev/null"),
    "dd conv=notrunc seek=": Row(
        "${X}dd if=$T/src of=coords bs=10 count=3 seek=2 conv=notrunc 2> /dev/null", over=True
    ),
    "tee": Row("${X}tee coords < $T/text"),
    "tee -a": Row("${X}tee -a coords < $T/text", over=True),
    "mv from another filesystem": Row(f"{ELSEWHERE}; ${{X}}mv $E coords"),
    "mv of a temporary file": Row(
        "cp $T/src .coords.Xy12; ${X}mv .coords.Xy12 coords", over=True, later=True
    ),
    "touch": Row("${X}touch coords", later=True),
    "touch -d": Row("${X}touch -d '2003-04-05 06:07:08' coords", 0, over=True),
    "truncate -s": Row("${X}truncate -s 5 coords", over=True),
    "rm": Row("${X}rm coords", 0, over=True, later=True, start="Invalid argument", note=WITHDRAWN),
    "sort -o": Row("${X}sort -o coords $T/text"),
}
UUTILS = {
    "install -m 640": Row("$U/install -m 640 $T/src coords"),
    "split": Row("$U/split -b 60000 $T/src; mv xaa coords; mv xab model", 2, later=True),
}
BUSYBOX = {
    "sed -i": Row("busybox sed -i s/line/LINE/ coords", over=True, later=True),
    "vi on a terminal": Row(
        "$PY $TYPE 'coords=>:%s/line/LINE/\\r:wq\\r' -- busybox vi coords", over=True
    ),
    "tar x": Row("busybox tar xf $T/folder.tar", uploads=2, over=True),
    "gunzip": Row("busybox gzip -c $T/src > coords.gz; busybox gunzip coords.gz"),
    "sh, echo >": Row("busybox sh -c 'echo 1,2 > coords; echo 3 >> coords'", uploads=2),
    "sh, a group of builtins": Row("busybox sh -c '{ echo a; echo b; } > coords'"),
}

MODULES = ("mmap", "numpy", "shutil", "sqlite3", "subprocess", "sys", "tempfile", "zipfile")
"""What the Python rows import, where they name it."""


def _python(code: str) -> str:
    modules = ["os", "pathlib", *(name for name in MODULES if name in code)]
    paths = "T = pathlib.Path(os.environ['T']); SRC = T / 'src'"
    program = f"import {', '.join(modules)}\n{paths}\n{code}"
    return f"$PY -c {shlex.quote(program)}"


def _all(label: str, rows: dict[str, Row], script: Callable[[str], str]) -> dict[str, Row]:
    return {
        f"{label} {name}": replace(row, script=script(row.script)) for name, row in rows.items()
    }


ROWS: dict[str, Row] = {
    **COREUTILS,
    **OTHERS,
    **SHELLS,
    **_all("busybox", SMALL, "X='busybox '; {}".format),
    **_all("busybox", BUSYBOX, str),
    **_all("uutils", SMALL, "X=$U/; {}".format),
    **_all("uutils", UUTILS, str),
    **_all("python", PYTHON, _python),
    **_all("C", C, "$B/c {}".format),
    **_all("Fortran", FORTRAN, "$B/fortran {}".format),
}
"""The rows of the table, in its order."""
