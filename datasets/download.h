/* download.h - a file from the network: whole and verified under its name, or absent.
 *
 * The bytes go to "<path>.partial", with "<path>.partial.from" beside it holding the URL and the
 * server's validator (strong ETag or Last-Modified). A later call, or a retry in this one, asks for
 * the rest by Range and If-Range and starts over where the server sends the whole. What came is
 * checked by size and digest before it takes its name; what fails the check is deleted. Transient
 * failures (408, 425, 429, 5xx, a broken or stalled transfer) are retried with growing pauses; a
 * host that cannot be found or reached is not, so that the caller soon turns to another source.
 */
#ifndef DATASETS_DOWNLOAD_H
#define DATASETS_DOWNLOAD_H

#include "datasets/http.h"

/* Told how far a download is; returns false to stop it (E_STOPPED; the part stays for a resume).
 * done and total are bytes; total is -1 where it is not known. */
typedef struct DownloadProgress {
    bool (*report)(void *context, const char *name, int64_t done, int64_t total);
    void *context;
} DownloadProgress;

bool download_report(const DownloadProgress *p, const char *name, int64_t done, int64_t total);

typedef struct Download {
    const char *url;
    const char *path;     // its folder exists
    const char *name;     // for progress; NULL: the last part of path
    const char *sha256;   // lower-case hexadecimal, or NULL
    const char *git_blob; // git's name of the file, or NULL
    int64_t size;         // bytes, or -1 where not known
    const char *token;    // bearer token for the origin of url only, or NULL
    bool hub;             // a Hugging Face hub: its headers state size and digest; check them
    HttpLimits limits;    // all zero: HTTP_LIMITS
    const DownloadProgress *progress; // or NULL
} Download;

/* E_IO: one sentence naming the URL and the reason (no room on the disk, the digest found and the
 * one expected, the server's answer). E_STOPPED where progress stopped it. */
MUST_CHECK Status download_file(const Download *d);

/* A small document into memory that the caller frees; at most `limit` bytes. *code, where not
 * NULL, is the server's answer, 0 where none came. Uses url, token, limits, progress of d. */
MUST_CHECK Status download_text(const Download *d, size_t limit, char **text, long *code);

#endif
