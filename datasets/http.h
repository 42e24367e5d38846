/* http.h - one GET over HTTP or HTTPS, by libcurl.
 *
 * Redirects are followed here, hop by hop (at most ten, never from https to http), so that a token
 * goes to the origin (scheme, host, port) of the first URL and to no other, and so that headers of
 * that origin are kept apart from those of the storage it points to. Certificates are verified
 * ($CURL_CA_BUNDLE, $REQUESTS_CA_BUNDLE or $SSL_CERT_FILE in the place of the system's); proxies
 * come from http_proxy, https_proxy, all_proxy and no_proxy. Messages name the first URL: the
 * later ones may carry signatures.
 */
#ifndef DATASETS_HTTP_H
#define DATASETS_HTTP_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct HttpLimits {
    long connect_ms;    // longest time to a connection, name look-up included
    long stall_seconds; // a transfer slower than 1 KiB/s for so long is given up
    int retries;        // attempts after the first, counted anew after each gain
    long backoff_ms;    // before the first retry; doubled each time, at most 8 s
} HttpLimits;

extern const HttpLimits HTTP_LIMITS; // 5 s, 20 s, 4, 500 ms

typedef struct HttpReply {
    long code;             // of the last hop; 0 where no reply came
    bool transient;        // the failure may pass: a retry makes sense
    bool connected;        // some bytes of a reply came
    int64_t length;        // Content-Length of the last hop, -1 where it was not stated
    int64_t first, whole;  // Content-Range "first-last/whole" of the last hop, or -1
    long retry_after;      // seconds, 0 where it was not stated
    char validator[256];   // strong ETag, else Last-Modified, of the last hop; else ""
    char etag[128];        // from the origin only, quotes and W/ taken off
    char linked_etag[128]; // X-Linked-Etag, from the origin only
    int64_t linked_size;   // X-Linked-Size, from the origin only, or -1
    char commit[64];       // X-Repo-Commit, from the origin only
} HttpReply;

typedef struct HttpRequest {
    const char *url;
    const char *token;     // bearer token for the origin of url, or NULL
    int64_t offset;        // first byte wanted; 0 sends no Range
    const char *validator; // If-Range, or NULL
    HttpLimits limits;
    void *context;
    /* Once, before the first byte of a 200 or 206: a Status other than OK ends the request. */
    Status (*begin)(void *context, const HttpReply *reply);
    Status (*write)(void *context, const void *bytes, size_t count);
    bool (*go_on)(void *context); // asked several times a second; false stops with E_STOPPED
} HttpRequest;

/* OK where the last hop answered 200 or 206 and all of its body went to write(). Else E_IO (or
 * what begin() or write() returned) with one sentence that names the URL and the reason. */
MUST_CHECK Status http_get(const HttpRequest *request, HttpReply *reply);

#endif
