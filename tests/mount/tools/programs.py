"""Programs that write inputs as programs of every age do, compiled once for all tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

C = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) { perror(what); exit(1); }
static void check(int failed, const char *what) { if (failed) die(what); }

static FILE *named(const char *mode) {
    FILE *file = fopen("coords", mode);
    check(!file, "coords");
    return file;
}
static int opened(int flags) {
    int file = open("coords", flags | O_CREAT, 0666);
    check(file < 0, "coords");
    return file;
}
static void put(int file, const char *text) {
    ssize_t length = (ssize_t) strlen(text);
    check(write(file, text, length) != length, "write");
}

static void stdio(void) {
    FILE *file = named("w");
    for (int i = 0; i < 20000; i++) fprintf(file, "%d %d\n", i, i * i);
    check(fclose(file), "close");
}
static void bytes(void) {
    FILE *file = named("w");
    setvbuf(file, NULL, _IONBF, 0);
    for (int i = 0; i < 1000; i++) fprintf(file, "%c", 'a' + i % 26);
    check(fclose(file), "close");
}
static void flushes(void) {
    FILE *file = named("w");
    for (int i = 0; i < 100; i++) { fprintf(file, "%d\n", i); check(fflush(file), "flush"); }
    check(fclose(file), "close");
}
static void adds(void) {
    FILE *file = named("a");
    fputs("more\n", file);
    check(fclose(file), "close");
}
static void updates(void) {
    char first[4] = "";
    FILE *file = named("r+");
    check(!fgets(first, sizeof first, file), "read");
    fseek(file, 2, SEEK_SET);
    fprintf(file, "<%s>", first);
    check(fclose(file), "close");
}
static void leaves_open(void) { fputs("never closed\n", named("w")); }
static void appends(void) {
    int one = opened(O_WRONLY | O_APPEND), two = opened(O_WRONLY | O_APPEND);
    for (int i = 0; i < 3; i++) { put(one, "one\n"); put(two, "two\n"); }
    check(close(one), "close");
    check(close(two), "close");
}
static void exclusive(void) {
    int file = opened(O_WRONLY | O_EXCL);
    check(open("coords", O_WRONLY | O_CREAT | O_EXCL, 0666) >= 0 || errno != EEXIST, "second");
    put(file, "mine\n");
    check(close(file), "close");
}
static void reserves(void) {
    int file = opened(O_RDWR);
    errno = posix_fallocate(file, 0, 10000);
    check(errno, "posix_fallocate");
    put(file, "start");
    check(close(file), "close");
}
static void unlinks(void) {
    int file = opened(O_RDWR);
    char back[5] = "";
    put(file, "scr");
    check(unlink("coords"), "unlink");
    put(file, "atch");
    check(pread(file, back, 4, 2) != 4 || strcmp(back, "ratc"), "read");
    check(close(file), "close");
}
static void forks(void) {
    int file = opened(O_WRONLY), status;
    put(file, "parent\n");
    if (!fork()) { put(file, "child\n"); _exit(0); }
    wait(&status);
    put(file, "parent again\n");
    check(close(file), "close");
}
static void pipes(void) {
    FILE *child = popen("cat > coords", "w");
    check(!child, "popen");
    fputs("through a pipe\n", child);
    check(pclose(child), "pclose");
}
static void maps(void) {
    int file = opened(O_RDWR);
    check(ftruncate(file, 10000), "ftruncate");
    char *memory = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    check(memory == MAP_FAILED, "mmap");
    check(close(file), "close");
    memset(memory, 'm', 9000);
    check(msync(memory, 10000, MS_SYNC), "msync");
    check(munmap(memory, 10000), "munmap");
}
static void scatters(void) {
    struct iovec parts[] = {{"vec", 3}, {"tor", 3}};
    int file = opened(O_WRONLY | O_SYNC);
    check(writev(file, parts, 2) != 6, "writev");
    check(pwrite(file, "far", 3, 5000) != 3, "pwrite");
    check(fsync(file) || fdatasync(file), "fsync");
    check(close(file), "close");
}

static const struct { const char *name; void (*run)(void); } ALL[] = {
    {"stdio", stdio}, {"bytes", bytes}, {"flushes", flushes}, {"adds", adds},
    {"updates", updates}, {"leaves_open", leaves_open}, {"appends", appends},
    {"exclusive", exclusive}, {"reserves", reserves}, {"unlinks", unlinks},
    {"forks", forks}, {"pipes", pipes}, {"maps", maps}, {"scatters", scatters},
};
int main(int count, char **words) {
    for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++)
        if (count == 2 && !strcmp(words[1], ALL[i].name)) { ALL[i].run(); return 0; }
    fputs("which?\n", stderr);
    return 2;
}
"""

FORTRAN = """
      PROGRAM WRITES
      INTEGER I
      REAL X(3)
      CHARACTER*10 HOW
      DATA X /1.0, 2.5, -3.0/
      CALL GETARG(1, HOW)
      IF (HOW .EQ. 'formatted') THEN
         OPEN(7, FILE='coords', STATUS='UNKNOWN')
         DO 10 I = 1, 1000
   10    WRITE(7, '(I6, 3F10.3)') I, X
      ELSE IF (HOW .EQ. 'records') THEN
         OPEN(7, FILE='coords', FORM='UNFORMATTED')
         WRITE(7) X
         WRITE(7) 4, 5
      ELSE IF (HOW .EQ. 'append') THEN
         OPEN(7, FILE='coords', STATUS='OLD', POSITION='APPEND')
         WRITE(7, *) 'more'
      ELSE
         OPEN(7, FILE='coords', ACCESS='DIRECT', RECL=20)
         WRITE(7, REC=3) X
         WRITE(7, REC=1) X
      END IF
      CLOSE(7)
      END
"""


def compile_programs(folder: Path) -> None:
    """Make `folder`/c and `folder`/fortran."""
    for name, compiler, text in (("c", "gcc", C), ("fortran", "gfortran", FORTRAN)):
        source = folder / f"{name}.{'c' if name == 'c' else 'f'}"
        source.write_text(text)
        command = [compiler, "-w", "-o", str(folder / name), str(source)]
        subprocess.run(command, check=True, timeout=60)
