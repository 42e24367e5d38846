/* download.c - retries, resume, checks and the rename, over http_get(). */
#include "datasets/download.h"

#include "datasets/digest.h"
#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { ROOM_TO_SPARE = 16 << 20, LONGEST_PAUSE_MS = 8000, LONGEST_RETRY_AFTER = 30 };

typedef struct Transfer {
    const Download *d;
    char *part, *from; // the partial file and its origin
    FILE *file;        // the partial file, open for writing and locked, or NULL
    bool done;         // another process has finished it meanwhile
    char *text;        // or memory, for download_text()
    size_t limit;
    int64_t have, total; // bytes so far; all of them, or -1
    int64_t best;        // the most that was ever had: a gain over it renews the patience
    char validator[256];
    HttpReply reply;
} Transfer;

bool download_report(const DownloadProgress *p, const char *name, int64_t done, int64_t total)
{
    return !p || !p->report || p->report(p->context, name, done, total);
}

static const char *shown_name(const Download *d)
{
    const char *slash = d->path ? strrchr(d->path, '/') : NULL;

    return d->name ? d->name : slash ? slash + 1 : d->path ? d->path : d->url;
}

static bool transfer_goes_on(void *context)
{
    const Transfer *t = context;

    return download_report(t->d->progress, shown_name(t->d), t->have, t->total);
}

static Status check_room(const Transfer *t)
{
    char *copy = strdup(t->d->path);
    struct statvfs s;
    Status status = OK;

    if (copy && t->total > 0 && statvfs(dirname(copy), &s) == 0) {
        const double room = (double)s.f_bavail * (double)s.f_frsize;
        const double need = (double)(t->total - t->have) + ROOM_TO_SPARE;
        if (room < need)
            status = fail(E_IO, "%s: %.0f MB are to be written to %s, which has room for %.0f MB",
                          t->d->url, need / 1e6, copy, room / 1e6);
    }
    free(copy);
    return status;
}

static Status start_over(Transfer *t)
{
    t->have = 0;
    rewind(t->file);
    if (ftruncate(fileno(t->file), 0) != 0)
        return fail(E_IO, "%s: %s", t->part, strerror(errno));
    return OK;
}

static Status transfer_begin(void *context, const HttpReply *r)
{
    Transfer *t = context;
    const Download *d = t->d;
    const int64_t stated = d->hub && r->linked_size >= 0 ? r->linked_size : -1;
    Status s = OK;

    if (r->code == 206 && r->first != t->have)
        return fail(E_IO, "%s: the server sent bytes from %" PRId64 ", asked for from %" PRId64,
                    d->url, r->first, t->have);
    if (r->code == 200 && t->file && (s = start_over(t)))
        return s;
    t->total = r->code == 206 ? r->whole : r->length;
    if (t->total < 0)
        t->total = d->size >= 0 ? d->size : stated;
    if ((d->size >= 0 && t->total != d->size) || (stated >= 0 && t->total != stated))
        return fail(E_IO, "%s: the server offers %" PRId64 " bytes, expected %" PRId64, d->url,
                    t->total, d->size >= 0 ? d->size : stated);
    if (t->text)
        return OK;
    snprintf(t->validator, sizeof t->validator, "%s", r->validator);
    char note[4096];
    snprintf(note, sizeof note, "%s\n%s\n", d->url, r->validator);
    if ((s = file_write(t->from, note, strlen(note))))
        return s;
    return check_room(t);
}

static Status transfer_write(void *context, const void *bytes, size_t count)
{
    Transfer *t = context;

    if (t->total >= 0 && t->have + (int64_t)count > t->total)
        return fail(E_IO, "%s: more than the %" PRId64 " bytes expected", t->d->url, t->total);
    if (t->text) {
        if ((size_t)t->have + count > t->limit)
            return fail(E_IO, "%s: more than the %zu bytes that are read here", t->d->url,
                        t->limit);
        memcpy(t->text + t->have, bytes, count);
    } else if (fwrite(bytes, 1, count, t->file) != count) {
        return fail(E_IO, "%s: cannot be written: %s", t->part, strerror(errno));
    }
    t->have += (int64_t)count;
    return OK;
}

/* Waits, asking progress meanwhile; false where it says stop. */
static bool transfer_pause(Transfer *t, long ms)
{
    for (; ms > 0; ms -= 100) {
        const long step = ms < 100 ? ms : 100;
        nanosleep(&(struct timespec){0, step * 1000000}, NULL);
        if (!transfer_goes_on(t))
            return false;
    }
    return true;
}

static Status transfer_attempt(Transfer *t, const HttpLimits *limits)
{
    const HttpRequest request = {
        .url = t->d->url,
        .token = t->d->token,
        .offset = t->file ? t->have : 0,
        .validator = t->validator,
        .limits = *limits,
        .context = t,
        .begin = transfer_begin,
        .write = transfer_write,
        .go_on = transfer_goes_on,
    };

    if (t->text)
        t->have = 0;
    Status s = http_get(&request, &t->reply);
    if (t->file && fflush(t->file) != 0 && !s)
        s = fail(E_IO, "%s: cannot be written: %s", t->part, strerror(errno));
    if (!s && t->total >= 0 && t->have != t->total) {
        t->reply.transient = true;
        s = fail(E_IO, "%s: %" PRId64 " of %" PRId64 " bytes came", t->d->url, t->have, t->total);
    }
    return s;
}

/* Where the server has nothing beyond what is here (416), that is all, or it is of another file. */
static Status settle_range(Transfer *t, Status s)
{
    if (t->reply.code != 416 || !t->file || t->have == 0)
        return s;
    if (t->reply.whole == t->have && (t->d->size < 0 || t->d->size == t->have))
        return OK;
    t->reply.transient = true;
    t->validator[0] = '\0';
    const Status again = start_over(t);
    return again ? again : s;
}

static Status transfer_run(Transfer *t)
{
    const HttpLimits limits = t->d->limits.connect_ms ? t->d->limits : HTTP_LIMITS;
    long pause = limits.backoff_ms;
    bool reached = false;
    int failures = 0;

    for (;;) {
        Status s = settle_range(t, transfer_attempt(t, &limits));
        if (!s || s == E_STOPPED)
            return s;
        reached = reached || t->reply.connected;
        // A line that was open and broke may well open again; one that never was is another matter.
        const bool lost = reached && t->reply.code == 0 && !t->reply.connected;
        if (!t->reply.transient && !lost)
            return s;
        if (t->have > t->best) {
            t->best = t->have;
            failures = 0;
            pause = limits.backoff_ms;
        }
        if (failures++ >= limits.retries)
            return failures > 1 ? fail_within(s, "after %d attempts", failures) : s;
        const long asked = t->reply.retry_after;
        const bool wait = asked > 0 && asked <= LONGEST_RETRY_AFTER;
        if (!transfer_pause(t, wait ? asked * 1000 : pause))
            return fail(E_STOPPED, "%s: the download was stopped", t->d->url);
        pause = 2 * pause < LONGEST_PAUSE_MS ? 2 * pause : LONGEST_PAUSE_MS;
    }
}

static Status check_digest(const Transfer *t, DigestKind kind, const char *want, const char *says)
{
    char got[DIGEST_TEXT];
    Status s = digest_file(t->part, kind, got);

    if (!s && strcmp(got, want) != 0)
        s = fail(E_FORMAT, "%s: the file that came has %s %s, %s %s", t->d->url,
                 kind == DIGEST_SHA256 ? "sha256" : "git digest", got, says, want);
    return s;
}

static Status check_part(const Transfer *t)
{
    const Download *d = t->d;
    const HttpReply *r = &t->reply;
    Status s = OK;

    if (d->size >= 0 && t->have != d->size)
        return fail(E_FORMAT, "%s: %" PRId64 " bytes came, expected %" PRId64, d->url, t->have,
                    d->size);
    if (d->sha256)
        s = check_digest(t, DIGEST_SHA256, d->sha256, "expected");
    if (!s && d->git_blob)
        s = check_digest(t, DIGEST_GIT_BLOB, d->git_blob, "expected");
    if (!s && d->hub && digest_is_hex(r->linked_etag, 64))
        s = check_digest(t, DIGEST_SHA256, r->linked_etag, "the hub states");
    else if (!s && d->hub && !r->linked_etag[0] && digest_is_hex(r->etag, 40))
        s = check_digest(t, DIGEST_GIT_BLOB, r->etag, "the hub states");
    return s;
}

/* Opens and locks the partial file, waiting for another process that holds it. */
static Status lock_part(Transfer *t)
{
    struct stat here, there;
    const bool finished = file_exists(t->d->path);

    for (;;) {
        const int fd = open(t->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0 || fstat(fd, &here) != 0)
            return fail(E_IO, "%s: cannot be written: %s", t->part, strerror(errno));
        while (flock(fd, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR))
            if (!transfer_pause(t, 200)) {
                close(fd);
                return fail(E_STOPPED, "%s: the download was stopped", t->d->url);
            }
        t->done = !finished && file_exists(t->d->path);
        // The one that held it may have renamed or removed what was opened here.
        if (t->done || (stat(t->part, &there) == 0 && here.st_ino == there.st_ino)) {
            t->file = fdopen(fd, "r+b");
            return t->file ? OK : fail(E_MEMORY, "%s: no memory to write it", t->part);
        }
        close(fd);
    }
}

/* What is in the partial file counts only where it came from this URL and can be checked to belong
 * to the rest: by the server (validator) or by us (digest). */
static void weigh_part(Transfer *t)
{
    const Download *d = t->d;
    char *note = NULL, *line = NULL;
    struct stat s;

    if (fstat(fileno(t->file), &s) == 0 && s.st_size > 0 && file_exists(t->from) &&
        !file_read(t->from, 8192, &note, NULL) && (line = strchr(note, '\n'))) {
        *line++ = '\0';
        line[strcspn(line, "\n")] = '\0';
        if (!strcmp(note, d->url) && (*line || d->sha256 || d->git_blob)) {
            t->have = t->best = s.st_size;
            snprintf(t->validator, sizeof t->validator, "%s", line);
        }
    }
    free(note);
}

static Status open_part(Transfer *t)
{
    Status s;

    if (asprintf(&t->part, "%s.partial", t->d->path) < 0)
        t->part = NULL;
    if (asprintf(&t->from, "%s.partial.from", t->d->path) < 0)
        t->from = NULL;
    if (!t->part || !t->from)
        return fail(E_MEMORY, "%s: no memory to write it", t->d->path);
    if ((s = lock_part(t)) || t->done)
        return s;
    weigh_part(t);
    if (t->have == 0)
        return start_over(t);
    return fseeko(t->file, 0, SEEK_END) == 0 ? OK : fail(E_IO, "%s: %s", t->part, strerror(errno));
}

static Status commit_part(Transfer *t)
{
    Status s = OK;

    if (fflush(t->file) != 0 || fsync(fileno(t->file)) != 0)
        s = fail(E_IO, "%s: cannot be written: %s", t->part, strerror(errno));
    if (!s && rename(t->part, t->d->path) != 0)
        s = fail(E_IO, "%s: cannot be written: %s", t->d->path, strerror(errno));
    if (!s)
        unlink(t->from);
    return s;
}

Status download_file(const Download *d)
{
    Transfer t = {.d = d, .total = -1};
    Status s = open_part(&t);
    const bool resumed = t.have > 0;
    const bool whole = (d->sha256 || d->git_blob) && d->size >= 0 && t.have == d->size;

    if (!s && !t.done && !whole)
        s = transfer_run(&t);
    if (!s && !t.done && (s = check_part(&t)) == E_FORMAT &&
        resumed) { // the old part may be what is wrong
        t.validator[0] = '\0';
        if (!(s = start_over(&t)) && !(s = transfer_run(&t)))
            s = check_part(&t);
    }
    if (!s && !t.done)
        s = commit_part(&t);
    if (t.file && (s == E_FORMAT || (s && t.have == 0))) {
        unlink(t.part); // while it is locked
        unlink(t.from);
    }
    if (t.file)
        fclose(t.file);
    free(t.part);
    free(t.from);
    return s;
}

Status download_text(const Download *d, size_t limit, char **text, long *code)
{
    Transfer t = {.d = d, .total = -1, .limit = limit, .text = malloc(limit + 1)};

    if (!t.text)
        return fail(E_MEMORY, "%s: no memory to read it", d->url);
    const Status s = transfer_run(&t);
    if (code)
        *code = t.reply.code;
    if (s) {
        free(t.text);
        return s;
    }
    t.text[t.have] = '\0';
    *text = t.text;
    return OK;
}
