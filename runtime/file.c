/* file.c - reads whole files; writes through a temporary name, fsync and rename, but straight into
 * what is no regular file. */
#include "runtime/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_LINKS = 40 }; // as the system follows

static Status read_stream(FILE *f, const char *path, size_t limit, char **text, size_t *bytes)
{
    size_t room = 1 << 16, size = 0;
    char *all = malloc(room + 1);

    while (all) {
        size += fread(all + size, 1, room - size, f);
        if (size > limit) {
            free(all);
            return fail(E_FORMAT, "%s: longer than the %zu bytes that are read here", path, limit);
        }
        if (size < room)
            break;
        char *more = realloc(all, 2 * room + 1);
        if (!more)
            free(all);
        all = more;
        room *= 2;
    }
    if (!all)
        return fail(E_MEMORY, "%s: no memory to read it", path);
    if (ferror(f)) {
        free(all);
        return fail(E_IO, "%s: %s", path, strerror(errno));
    }
    all[size] = '\0';
    *text = all;
    if (bytes)
        *bytes = size;
    return OK;
}

Status file_read(const char *path, size_t limit, char **text, size_t *bytes)
{
    if (file_is_folder(path))
        return fail(E_IO, "%s: is a folder, expected a file", path);
    FILE *f = fopen(path, "rb");

    if (!f)
        return fail(E_IO, "%s: %s", path, strerror(errno));
    Status s = read_stream(f, path, limit, text, bytes);
    fclose(f);
    return s;
}

char *file_target(const char *path)
{
    char *at = strdup(path), text[PATH_MAX];
    ssize_t length = -1;

    for (int i = 0; at && i < MOST_LINKS && (length = readlink(at, text, sizeof text - 1)) >= 0;
         i++) {
        const char *slash = strrchr(at, '/');
        const int folder = slash && *text != '/' ? (int)(slash - at) + 1 : 0;
        char *next = NULL;
        text[length] = '\0';
        if (asprintf(&next, "%.*s%s", folder, at, text) < 0)
            next = NULL;
        free(at);
        at = next;
    }
    if (at && length < 0)
        return at;
    errno = at ? ELOOP : ENOMEM;
    free(at);
    return NULL;
}

bool file_is_special(const char *path)
{
    struct stat s;

    return stat(path, &s) == 0 && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode);
}

/* What the path and a standard stream both are, as /dev/stdout is; else -1. A socket can be reached
 * only so, and a file that stdout goes on with must not be put aside by a new one. */
static int standard_stream(const char *path)
{
    struct stat s, own;

    if (stat(path, &s) != 0)
        return -1;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &own) == 0 && own.st_dev == s.st_dev && own.st_ino == s.st_ino)
            return fd;
    return -1;
}

/* Waits for a pipe's reader in a sleep, which a signal ends even where the program catches it. */
static int open_special(const char *path)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int fd = -1;

    while ((fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0 && errno == ENXIO) {
        struct stat s;
        if (stat(path, &s) != 0 || !S_ISFIFO(s.st_mode)) {
            errno = ENXIO;
            return -1;
        }
        if (nanosleep(&pause, NULL) != 0)
            return -1;
    }
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

static FILE *open_in_place(const char *path, int stream)
{
    const int fd = stream < 0 ? open_special(path) : dup(stream);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");

    if (!f && fd >= 0)
        close(fd);
    return f;
}

Status file_open(FileWriter *w, const char *path)
{
    const int stream = standard_stream(path);
    const bool in_place = stream >= 0 || file_is_special(path);

    *w = (FileWriter){0};
    if (file_is_folder(path))
        return fail(E_IO, "%s: is a folder, expected a file", path);
    w->path = in_place ? strdup(path) : file_target(path);
    if (w->path && in_place)
        w->stream = open_in_place(path, stream);
    else if (w->path && asprintf(&w->part, "%s.part-%ld", w->path, (long)getpid()) < 0)
        w->part = NULL;
    if (w->part)
        w->stream = fopen(w->part, "wb");
    if (!w->stream) {
        Status s = fail(E_IO, "%s: cannot be written: %s", path, strerror(errno));
        file_discard(w);
        return s;
    }
    return OK;
}

static void sync_folder(const char *path)
{
    char *copy = strdup(path);
    int folder = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY) : -1;

    if (folder >= 0) {
        fsync(folder);
        close(folder);
    }
    free(copy);
}

static bool is_flushed(FileWriter *w)
{
    return !ferror(w->stream) && fflush(w->stream) == 0 &&
           (!w->part || fsync(fileno(w->stream)) == 0);
}

Status file_flush(FileWriter *w)
{
    return is_flushed(w) ? OK : fail(E_IO, "%s: cannot be written: %s", w->path, strerror(errno));
}

Status file_commit(FileWriter *w)
{
    bool good = is_flushed(w);
    int reason = errno;

    if (fclose(w->stream) != 0 && good) {
        reason = errno;
        good = false;
    }
    w->stream = NULL;
    if (good && w->part && rename(w->part, w->path) != 0) {
        reason = errno;
        good = false;
    }
    Status s = good ? OK : fail(E_IO, "%s: cannot be written: %s", w->path, strerror(reason));
    if (good && w->part)
        sync_folder(w->path);
    file_discard(w);
    return s;
}

Status file_publish(const char *part, const char *path)
{
    const int file = open(part, O_RDWR | O_CLOEXEC);
    bool good = file >= 0 && fsync(file) == 0;
    int reason = errno;

    if (file >= 0 && close(file) != 0 && good) {
        reason = errno;
        good = false;
    }
    if (good && rename(part, path) != 0) {
        reason = errno;
        good = false;
    }
    if (!good) {
        unlink(part);
        return fail(E_IO, "%s: cannot be written: %s", path, strerror(reason));
    }
    sync_folder(path);
    return OK;
}

void file_discard(FileWriter *w)
{
    if (w->stream)
        fclose(w->stream);
    if (w->part)
        unlink(w->part);
    free(w->path);
    free(w->part);
    *w = (FileWriter){0};
}

Status file_write(const char *path, const void *bytes, size_t count)
{
    FileWriter w;
    Status s = file_open(&w, path);

    if (s)
        return s;
    fwrite(bytes, 1, count, w.stream);
    return file_commit(&w);
}

Status file_make_folder(const char *path)
{
    char *copy = strdup(path);

    if (!copy)
        return fail(E_MEMORY, "%s: no memory to make it", path);
    for (char *slash = copy + 1; *copy && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(copy, 0777); // whatever stops this is found by the last one
        *slash = '/';
    }
    Status s = OK;
    if (mkdir(copy, 0777) != 0 && (errno != EEXIST || !file_is_folder(path)))
        s = fail(E_IO, "%s: the folder cannot be made: %s", path,
                 strerror(errno == EEXIST ? ENOTDIR : errno));
    free(copy);
    return s;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_is_folder(const char *path)
{
    struct stat s;

    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* A number that this very process has may be that of one long gone. */
static bool is_orphan(const char *name)
{
    const char *end = strstr(name, ".part-");
    long process = 0;

    if (!end || sscanf(end, ".part-%ld", &process) != 1 || process <= 0)
        return false;
    return process == (long)getpid() || (kill((pid_t)process, 0) != 0 && errno == ESRCH);
}

void file_clear_parts(const char *folder)
{
    DIR *d = opendir(folder);

    if (!d)
        return;
    for (const struct dirent *e; (e = readdir(d));) {
        char *path = is_orphan(e->d_name) ? file_path(folder, e->d_name) : NULL;
        if (path)
            unlink(path);
        free(path);
    }
    closedir(d);
}

char *file_path(const char *folder, const char *name)
{
    char *path = NULL;

    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}
