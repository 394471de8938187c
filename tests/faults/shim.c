/* The name service.test is 127.0.0.1, unless it is to be unknown; and connections can be refused.

   The file that FAULTS_CONTROL names holds two counters: how many look-ups, and how many
   connections, are still to fail; a negative one: all. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOKUP, CONNECT };

static int *counters;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTS_CONTROL");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *map = mmap(NULL, 2 * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    counters = map == MAP_FAILED ? NULL : map;
    close(file);
}

static int to_fail(int which)
{
    if (!counters)
        return 0;
    int left = __atomic_load_n(&counters[which], __ATOMIC_SEQ_CST);
    while (left > 0)
        if (__atomic_compare_exchange_n(&counters[which], &left, left - 1, 0, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return 1;
    return left < 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    int numeric = hints && hints->ai_flags & AI_NUMERICHOST;
    if (node && !strcmp(node, "service.test") && !numeric) {
        if (to_fail(LOOKUP))
            return EAI_NONAME;
        node = "127.0.0.1";
    }
    return real(node, service, hints, found);
}

int connect(int file, const struct sockaddr *address, socklen_t length)
{
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    if (address->sa_family == AF_INET && to_fail(CONNECT)) {
        errno = ECONNREFUSED;
        return -1;
    }
    return real(file, address, length);
}
