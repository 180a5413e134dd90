/* Lets one system call on files below a folder fail, while a file beside it says so: "fsync 28" or "write 5". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int fault_of(const char *call) {
    char line[64] = "", *space;
    const char *place = getenv("FAILING_DISK");
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    ssize_t (*real_read)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    int descriptor;
    if (!place || (descriptor = real_open(place, O_RDONLY)) < 0)
        return 0;
    real_read(descriptor, line, sizeof line - 1);
    close(descriptor);
    if (!(space = strchr(line, ' ')))
        return 0;
    *space = 0;
    return strcmp(line, call) ? 0 : atoi(space + 1);
}

static int is_ours(const char *path) {
    const char *below = getenv("FAILING_BELOW");
    return below && path && !strncmp(path, below, strlen(below)) && !strstr(path, ".db");
}

static int fails(const char *call, int descriptor) {
    char link[64], path[4096];
    ssize_t length;
    int fault = fault_of(call);
    if (!fault)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if ((length = readlink(link, path, sizeof path - 1)) < 0)
        return 0;
    path[length] = 0;
    if (!is_ours(path))
        return 0;
    errno = fault;
    return 1;
}

int fsync(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    return fails("fsync", descriptor) ? -1 : real(descriptor);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    ssize_t (*real)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
    return fails("write", descriptor) ? -1 : real(descriptor, parts, count);
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    int fault = fault_of("rename");
    if (fault && is_ours(to)) {
        errno = fault;
        return -1;
    }
    return real(from, to);
}

int open64(const char *path, int flags, ...) {
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
    int fault = flags & O_CREAT ? fault_of("open") : 0;
    va_list more;
    int mode;
    va_start(more, flags);
    mode = va_arg(more, int);
    va_end(more);
    if (fault && is_ours(path)) {
        errno = fault;
        return -1;
    }
    return real(path, flags, mode);
}
