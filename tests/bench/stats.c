/* stats FOLDER SECONDS: stat of every name in FOLDER, again and again; prints how many a second. */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST 100000

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

static void stat_all(char **names, long count)
{
    struct stat status;
    for (long i = 0; i < count; i++)
        if (lstat(names[i], &status))
            fail(names[i]);
}

int main(int count, char **words)
{
    static char *names[MOST];
    long known = 0, rounds = 0;
    struct dirent *entry;
    if (count != 3)
        return 2;
    if (chdir(words[1]))
        fail(words[1]);
    DIR *folder = opendir(".");
    if (!folder)
        fail(words[1]);
    while (known < MOST && (entry = readdir(folder)))
        if (!(names[known++] = strdup(entry->d_name)))
            fail("strdup");
    closedir(folder);
    stat_all(names, known);
    double begun = now(), end = begun + atof(words[2]);
    for (; now() < end; rounds++)
        stat_all(names, known);
    printf("%.0f\n", rounds * known / (now() - begun));
    return 0;
}
