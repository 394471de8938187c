"""What every tool does to an input: one row for each, run by test_input_tools.py.

The keys are the first column of the table in docs/SEMANTICS.md. The scripts find
- $T/src: 100 000 bytes, mode 0540; $T/text: lines; $T/holes: mostly zeros; $T/prog: mode 0700;
  $T/folder: `coords` and `model`; all of 2001, as are the members of $T/folder.tar;
- $B: compiled programs; $U: uutils; $PY: a Python with numpy; $TYPE: terminal.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Row:
    """One tool. On a mount it must do what it does in a folder of the local disk."""

    script: str
    """Run in `input/`."""
    uploads: int = 1
    """How many requests it makes."""
    over: bool = False
    """`coords` is there before, and the service has it: a copy of $T/text."""
    later: bool = False
    """The service has the bytes when `start` has returned; else when the tool has ended."""
    refused: str = ""
    """What the tool complains of, on a mount only."""
    status: int = 0
    """Its exit status there."""
    files: dict[str, bytes] | None = None
    """What is there afterwards, where that is not what is on a local disk."""
    start: str = ""
    """What `start` fails with."""
    shell: str = "bash"
    note: str = ""
    """More for the table in the documentation."""


WITHDRAWN = "the service cannot forget what it has: the input is withdrawn"
UNDECLARED = "the function declares no such input"
HALVES = "the first may be of half the file, the last counts"
AN_EMPTY_FILE = "leaves an empty input"
ELSEWHERE = "E=$(mktemp /dev/shm/pf-XXXXXX); cp -p $T/src $E"
NOT_HERE = "Operation not permitted"

COREUTILS = {
    "cp": Row("cp $T/src coords"),
    "cp over an input": Row("cp $T/src coords", over=True),
    "cp -p": Row("cp -p $T/src coords"),
    "cp -p over an input": Row("cp -p $T/src coords", over=True),
    "cp -a": Row("cp -a $T/src coords"),
    "cp -f over an input": Row("cp -f $T/src coords", over=True),
    "cp -b over an input": Row("cp -b $T/src coords", over=True),
    "cp -n over an input": Row(
        "cp -n $T/src coords", over=True, uploads=0, note="the input stays as it is"
    ),
    "cp -u over an input": Row(
        "cp -u $T/src coords", over=True, uploads=0, note="the input is newer and stays"
    ),
    "cp --remove-destination": Row("cp --remove-destination $T/src coords", over=True),
    "cp --sparse=always": Row("cp --sparse=always $T/holes coords"),
    "cp --reflink=auto": Row("cp --reflink=auto $T/src coords"),
    "cp --reflink=always": Row(
        "cp --reflink=always $T/src coords",
        refused="failed to clone 'coords'",
        status=1,
        files={"coords": b""},
        later=True,
        note=AN_EMPTY_FILE,
    ),
    "cp of a program": Row("cp $T/prog coords"),
    "cp of an empty file": Row("cp /dev/null coords", later=True),
    "cp -r folder/. input": Row("cp -r $T/folder/. .", uploads=2),
    "cp -a folder/. input": Row("cp -a $T/folder/. .", uploads=2),
    "cp folder/* input": Row("cp -p $T/folder/* .", uploads=2),
    "cp -r folder input": Row(
        "cp -r $T/folder .",
        uploads=0,
        refused="cannot create directory './folder': Permission denied",
        status=1,
        files={},
        note="say `cp -r folder/. input`",
    ),
    "mv folder input": Row(
        "cp -a $T/folder $T/away; mv $T/away .; s=$?; rm -r $T/away; exit $s",
        0,
        refused="cannot create directory './away': Permission denied",
        status=1,
        files={},
        note="say `mv folder/* input`",
    ),
    "mkdir": Row(
        "mkdir sub",
        0,
        refused="Permission denied",
        status=1,
        files={},
        note="`input/` has no folders",
    ),
    "ln -s, cp -s": Row("ln -s $T/src coords", 0, refused=NOT_HERE, status=1, files={}),
    "ln, cp -l": Row(
        "echo 1 > coords; ln coords model", 1, refused=NOT_HERE, status=1, files={"coords": b"1\n"}
    ),
    "mkfifo": Row("mkfifo coords", 0, refused=NOT_HERE, status=1, files={}),
    "cat >": Row("cat $T/src > coords"),
    "cat > an input": Row("cat $T/src > coords", over=True),
    "cat >> an input": Row("cat $T/src >> coords", over=True),
    "dd": Row("dd if=$T/src of=coords bs=7k status=none"),
    "dd conv=notrunc seek=": Row(
        "dd if=$T/src of=coords bs=10 count=3 seek=2 conv=notrunc status=none", over=True
    ),
    "dd seek= beyond the end": Row("dd if=$T/src of=coords bs=1k seek=50 status=none"),
    "dd oflag=append conv=notrunc": Row(
        "dd if=$T/src of=coords oflag=append conv=notrunc status=none", over=True
    ),
    "dd oflag=direct": Row("dd if=$T/holes of=coords bs=4k oflag=direct status=none"),
    "dd conv=fsync": Row("dd if=$T/src of=coords bs=64k conv=fsync status=none"),
    "tee": Row("tee coords < $T/text"),
    "tee of two inputs": Row("tee coords model < $T/src > /dev/null", uploads=2),
    "tee -a": Row("tee -a coords < $T/text", over=True),
    "install": Row("install $T/src coords"),
    "install -m over an input": Row("install -m 600 $T/src coords", over=True),
    "install -m 440": Row("install -m 440 $T/src coords"),
    "install -p": Row("install -p $T/src coords"),
    "mv from another filesystem": Row(f"{ELSEWHERE}; mv $E coords"),
    "mv from another filesystem, over an input": Row(f"{ELSEWHERE}; mv $E coords", over=True),
    "mv of a temporary file": Row("cp $T/src .coords.Xy12; mv .coords.Xy12 coords", later=True),
    "mv of a temporary file over an input": Row(
        "cp $T/src coords.tmp; mv coords.tmp coords", over=True, later=True
    ),
    "mktemp and mv": Row("t=$(mktemp ./XXXXXX); cat $T/src > $t; mv $t coords", later=True),
    "mv of one input to another": Row(
        "mv coords model", over=True, later=True, start="Invalid argument", note=WITHDRAWN
    ),
    "rm": Row("rm coords", 0, over=True, later=True, start="Invalid argument", note=WITHDRAWN),
    "rm and cp": Row("rm coords; cp $T/src coords", over=True),
    "truncate -s to more": Row("truncate -s 5000 coords", over=True),
    "truncate -s to less": Row("truncate -s 5 coords", over=True),
    "truncate -s of a new input": Row("truncate -s 5000 coords"),
    "truncate -s 0": Row("truncate -s 0 coords", over=True, later=True),
    "touch": Row("touch coords", later=True),
    "touch of an input": Row("touch coords", 0, over=True, note="the time only"),
    "touch -d": Row("touch -d 2003-04-05T06:07:08.5 coords", 0, over=True),
    "touch -r": Row("touch -r $T/src coords", 0, over=True),
    "chmod": Row("chmod 444 coords", 0, over=True),
    "split": Row("split -n 2 $T/src; mv xaa coords; mv xab model", uploads=2, later=True),
    "split to undeclared names": Row(
        "split -n 2 $T/src", 0, later=True, start="Invalid argument", note=UNDECLARED
    ),
    "split --filter": Row("split -n 1 --filter='cat > coords' $T/src"),
    "sort -o": Row("sort -o coords $T/text"),
    "sort -o onto itself": Row("sort -r -o coords coords", over=True),
    "shuf -o": Row("shuf -n 100000 -i 7-7 -r -o coords"),
    "uniq": Row("uniq $T/text coords"),
    "sync": Row("cp $T/src coords; sync coords; sync -f coords"),
}

OTHERS = {
    "rsync": Row("rsync $T/src coords", later=True),
    "rsync over an input": Row("rsync $T/src coords", over=True, later=True),
    "rsync -a": Row("rsync -a $T/src coords", later=True),
    "rsync -a folder/ input": Row("rsync -a $T/folder/ .", uploads=2, later=True),
    "rsync -a folder input": Row(
        "rsync -a $T/folder .",
        0,
        refused="Permission denied",
        status=23,
        files={},
        note="say `rsync -a folder/ input`",
    ),
    "rsync -a --delete": Row(
        "touch extra; rsync -a --delete $T/folder/ .; ls", 2, over=True, later=True
    ),
    "rsync -b": Row("rsync -b $T/src coords", over=True, later=True),
    "rsync --delay-updates": Row(
        "rsync --delay-updates $T/src coords",
        0,
        refused="Unable to create partial-dir",
        files={},
        note="rsync can't make its folder, discards the file and exits with 0",
    ),
    "rsync -a again": Row(
        "rsync -a $T/folder/ .; rsync -ai $T/folder/ . | grep -v '/$'; true", 2, later=True
    ),
    "rsync --inplace": Row("rsync --inplace $T/src coords"),
    "rsync --inplace over an input": Row("rsync --inplace $T/src coords", over=True),
    "rsync -a --inplace": Row("rsync -a --inplace $T/src coords"),
    "rsync --append": Row("head -c 50 $T/src > model; rsync --append $T/src model", uploads=2),
    "rsync --no-whole-file": Row(
        "cp $T/src model; rsync -I --no-whole-file $T/text model", uploads=2, later=True
    ),
    "sed -i": Row("sed -i s/line/LINE/ coords", over=True, later=True),
    "sed -i.bak": Row(
        "sed -i.bak s/line/LINE/ coords",
        over=True,
        later=True,
        start="Invalid argument",
        note=UNDECLARED,
    ),
    "sed w": Row("sed -n 's/line/LINE/w coords' $T/text"),
    "awk print >": Row("awk '{ print $2 > \"coords\" }' $T/text"),
    "perl -i": Row("perl -pi -e s/line/LINE/ coords", over=True, later=True),
    "vim -es": Row("vim -es -c %s/line/LINE/ -c wq coords", over=True),
    "vim -es of a new input": Row("vim -es -c 'r $T/text' -c wq coords"),
    **{
        f"vim -es, {backup} backupcopy={copy}": Row(
            f"vim -es --cmd 'set {backup} backupcopy={copy}' -c %s/line/LINE/ -c wq coords",
            over=True,
        )
        for backup in ("backup writebackup", "nobackup nowritebackup")
        for copy in ("no", "yes")
    },
    "vim on a terminal": Row(
        "$PY $TYPE 'coords=>:%s/line/LINE/\\r:w\\r' 'written=>:q\\r' -- vim coords", over=True
    ),
    "nano on a terminal": Row(
        "$PY $TYPE 'coords=>new \\x0f' 'File Name=>\\r' 'Wrote=>\\x18' -- nano coords", over=True
    ),
    "nano --backup": Row(
        "$PY $TYPE 'coords=>new \\x0f' 'File Name=>\\r' 'Wrote=>\\x18' -- nano -B coords", over=True
    ),
    "tar x": Row("tar xf $T/folder.tar", uploads=2),
    "tar x over an input": Row("tar xf $T/folder.tar", uploads=2, over=True),
    "tar x with folders": Row(
        "tar -C $T -cf $T/a.tar folder src; tar xf $T/a.tar; s=$?; mv src coords; exit $s",
        refused="Cannot mkdir: Permission denied",
        status=2,
        files={"coords": bytes(range(250)) * 400},
        later=True,
        note="the files beside them arrive",
    ),
    "tar xp": Row("tar xpf $T/folder.tar ./coords"),
    "tar x --overwrite": Row("tar x --overwrite -f $T/folder.tar ./coords", over=True),
    "gzip -c >": Row("gzip -nc $T/src > coords"),
    "gunzip": Row("gzip -c $T/src > coords.gz; gunzip coords.gz"),
    "xz": Row("xz -c $T/src > coords.xz; unxz coords.xz"),
    "curl -o": Row("curl -s -o coords file://$T/src"),
    "flock": Row("flock coords cp $T/src coords", over=True),
    "fallocate -l": Row(
        "fallocate -l 5000 coords",
        refused="Operation not supported",
        status=1,
        files={"coords": b""},
        later=True,
        note=f"{AN_EMPTY_FILE}; posix_fallocate works",
    ),
    "gcc -o": Row("gcc -w -c -x c $T/empty.c -o coords"),
    "make, twice": Row(
        "for i in 1 2; do printf 'coords: %s\\n\\tcp $< $@\\n' $T/text | make -f -; done"
    ),
}

SHELL = {
    "echo >": Row("echo 1,2 > coords"),
    "echo > an input": Row("echo 1,2 > coords", over=True),
    "printf >> an input": Row("printf '3\\n4\\n' >> coords", over=True),
    ": >": Row(": > coords", later=True),
    ": > an input": Row(": > coords", over=True, later=True),
    "here-document": Row("cat > coords <<END\n1\n$((1 + 1))\nEND"),
    "pipe to cat >": Row("cat $T/src | cat > coords"),
    "loop of echo >>": Row("for i in 1 2 3; do echo $i >> coords; done", uploads=3),
    "group of builtins": Row("{ echo a; echo b; } > coords"),
    "group of commands": Row(
        "{ /bin/echo a; /bin/echo b; /bin/echo c; } > coords", uploads=2, later=True, note=HALVES
    ),
    "group with a job": Row(
        "{ echo a; (echo b) & wait; echo c; } > coords", 2, later=True, note=HALVES
    ),
    "exec 5>": Row(
        "exec 5> coords; for x in a b c; do echo $x >&5; done; exec 5>&-",
        2,
        later=True,
        note=HALVES,
    ),
    "exec 5<> an input": Row("exec 5<> coords; echo new >&5; exec 5>&-", over=True),
    "set -C (O_EXCL)": Row("set -C; echo 1 > coords"),
    "set -C, > an input": Row("set -C; echo 1 > coords; echo 2 >| coords", over=True),
    "start while exec 5> is open": Row(
        "exec 5> coords; echo a >&5; echo 1 > ../start; echo b >&5; exec 5>&-",
        2,
        later=True,
        refused="../start: Device or resource busy",
        files={"coords": b"a\nb\n"},
        note="`start` is EBUSY while an input is open for writing",
    ),
}

SHELLS = {
    f"{shell}: {name}": replace(row, shell=shell)
    for shell in ("bash", "dash")
    for name, row in SHELL.items()
}
