/* fputc FILE BYTES UNIT: writes BYTES bytes to a new FILE and prints two numbers of seconds: until
 * all is written, and until close has returned. UNIT 0: each by fputc, through stdio's buffer as it
 * is for this file; otherwise by write, UNIT bytes at a time. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void put_characters(int file, long bytes, double begun)
{
    FILE *stream = fdopen(file, "w");
    if (!stream)
        fail("fdopen");
    for (long i = 0; i < bytes; i++)
        if (fputc('a' + i % 26, stream) == EOF)
            fail("fputc");
    if (fflush(stream))
        fail("fflush");
    printf("%.6f ", now() - begun);
    if (fclose(stream))
        fail("fclose");
}

static void write_pieces(int file, long bytes, long unit, double begun)
{
    char *piece = calloc(1, unit);
    if (!piece)
        fail("calloc");
    for (long left = bytes; left > 0; left -= unit) {
        long size = left < unit ? left : unit;
        if (write(file, piece, size) != size)
            fail("write");
    }
    printf("%.6f ", now() - begun);
    if (close(file))
        fail("close");
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    double begun = now();
    int file = open(words[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0)
        fail("open");
    if (atol(words[3]) == 0)
        put_characters(file, atol(words[2]), begun);
    else
        write_pieces(file, atol(words[2]), atol(words[3]), begun);
    printf("%.6f\n", now() - begun);
    return 0;
}
