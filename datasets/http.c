/* http.c - one GET: hops, headers, and what a failure means. */
#include "datasets/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_HOPS = 10 };

const HttpLimits HTTP_LIMITS = {5000, 20, 4, 500};

typedef struct Exchange {
    const HttpRequest *request;
    HttpReply *reply;
    bool at_origin, begun;
    Status status; // of begin(), write() or go_on()
} Exchange;

static bool header_is(const char *line, size_t length, const char *name, char *value, size_t room)
{
    const size_t n = strlen(name);

    if (length <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
        return false;
    const char *from = line + n + 1, *to = line + length;
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && (to[-1] == '\r' || to[-1] == '\n' || to[-1] == ' '))
        to--;
    const size_t count = (size_t)(to - from) < room ? (size_t)(to - from) : 0; // too long: ignored
    memcpy(value, from, count);
    value[count] = '\0';
    return true;
}

static void copy_unquoted(char *to, size_t room, const char *tag)
{
    if (!strncmp(tag, "W/", 2))
        tag += 2;
    if (*tag == '"')
        tag++;
    const size_t length = strcspn(tag, "\"");
    snprintf(to, room, "%.*s", (int)length, tag);
}

static void read_range(HttpReply *r, const char *value)
{
    long long first = -1, last = -1, whole = -1;

    if (sscanf(value, "bytes %lld-%lld/%lld", &first, &last, &whole) == 3) {
        r->first = first;
        r->whole = whole;
    } else if (sscanf(value, "bytes */%lld", &whole) == 1) {
        r->whole = whole;
    }
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
    Exchange *e = context;
    HttpReply *r = e->reply;
    const size_t length = size * count;
    char value[512];

    r->connected = true;
    if (header_is(line, length, "etag", value, sizeof value)) {
        if (strncmp(value, "W/", 2) != 0 && strlen(value) < sizeof r->validator)
            snprintf(r->validator, sizeof r->validator, "%.255s", value);
        if (e->at_origin)
            copy_unquoted(r->etag, sizeof r->etag, value);
    } else if (header_is(line, length, "last-modified", value, sizeof value)) {
        if (!r->validator[0])
            snprintf(r->validator, sizeof r->validator, "%.255s", value);
    } else if (header_is(line, length, "content-range", value, sizeof value)) {
        read_range(r, value);
    } else if (header_is(line, length, "retry-after", value, sizeof value)) {
        r->retry_after = strtol(value, NULL, 10);
    } else if (e->at_origin && header_is(line, length, "x-linked-etag", value, sizeof value)) {
        copy_unquoted(r->linked_etag, sizeof r->linked_etag, value);
    } else if (e->at_origin && header_is(line, length, "x-linked-size", value, sizeof value)) {
        r->linked_size = strtoll(value, NULL, 10);
    } else if (e->at_origin && header_is(line, length, "x-repo-commit", value, sizeof value)) {
        snprintf(r->commit, sizeof r->commit, "%.63s", value);
    }
    return length;
}

static Status begin_once(Exchange *e, CURL *curl)
{
    curl_off_t length = -1;

    if (e->begun)
        return OK;
    e->begun = true;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &e->reply->code);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    e->reply->length = length;
    return e->reply->code == 200 || e->reply->code == 206
               ? e->request->begin(e->request->context, e->reply)
               : OK;
}

typedef struct Body {
    Exchange *exchange;
    CURL *curl;
} Body;

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    Exchange *e = ((Body *)context)->exchange;

    e->status = begin_once(e, ((Body *)context)->curl);
    if (!e->status && (e->reply->code == 200 || e->reply->code == 206))
        e->status = e->request->write(e->request->context, bytes, size * count);
    return e->status ? 0 : size * count;
}

static int take_tick(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    Exchange *e = context;

    (void)a, (void)b, (void)c, (void)d;
    if (e->request->go_on && !e->request->go_on(e->request->context))
        e->status = fail(E_STOPPED, "%s: the download was stopped", e->request->url);
    return e->status != OK;
}

/* "scheme://host:port" of url in lower case, or false. */
static bool url_origin(const char *url, char *origin, size_t room)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    const bool good = u && !curl_url_set(u, CURLUPART_URL, url, 0) &&
                      !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
                      !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
                      !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);

    if (good) {
        snprintf(origin, room, "%s://%s:%s", scheme, host, port);
        for (char *c = origin; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return good;
}

static const char *authorities(void)
{
    static const char *const NAMES[] = {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"};

    for (int i = 0; i < 3; i++)
        if (getenv(NAMES[i]) && *getenv(NAMES[i]))
            return getenv(NAMES[i]);
    return NULL;
}

static void set_options(CURL *curl, const HttpRequest *q, Exchange *e, Body *body)
{
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, q->limits.connect_ms);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1024L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, q->limits.stall_seconds);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "cairn/" CAIRN_VERSION);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, e);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, take_tick);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, e);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    if (authorities())
        curl_easy_setopt(curl, CURLOPT_CAINFO, authorities());
}

static struct curl_slist *hop_headers(const HttpRequest *q, bool at_origin)
{
    struct curl_slist *list = curl_slist_append(NULL, "Accept: */*");
    char line[4096];

    if (q->token && at_origin) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", q->token);
        list = curl_slist_append(list, line);
    }
    if (q->offset > 0) {
        snprintf(line, sizeof line, "Range: bytes=%lld-", (long long)q->offset);
        list = curl_slist_append(list, line);
        if (q->validator && *q->validator) {
            snprintf(line, sizeof line, "If-Range: %s", q->validator);
            list = curl_slist_append(list, line);
        }
    }
    return list;
}

static bool code_is_transient(long code)
{
    return code == 408 || code == 425 || code == 429 || code == 500 || code == 502 || code == 503 ||
           code == 504;
}

static const char *code_meaning(long code)
{
    switch (code) {
    case 401:
        return "it asks for a token";
    case 403:
        return "it refuses";
    case 404:
        return "it has no such file";
    case 407:
        return "the proxy asks for a password";
    case 429:
        return "it has had too many requests";
    default:
        return code >= 500 ? "it has failed" : "that was not expected";
    }
}

static Status explain_curl(const HttpRequest *q, CURLcode code, const char *detail, HttpReply *r)
{
    r->transient = code == CURLE_PARTIAL_FILE || code == CURLE_GOT_NOTHING ||
                   code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_HTTP2 ||
                   code == CURLE_HTTP2_STREAM || (code == CURLE_OPERATION_TIMEDOUT && r->connected);
    if (code == CURLE_OPERATION_TIMEDOUT && r->connected)
        return fail(E_IO, "%s: no data came for %ld s", q->url, q->limits.stall_seconds);
    return fail(E_IO, "%s: %s", q->url, *detail ? detail : curl_easy_strerror(code));
}

/* One hop. *next is the URL of a redirect, which the caller frees, or NULL. */
static Status take_hop(CURL *curl, Exchange *e, const char *url, char **next)
{
    const HttpRequest *q = e->request;
    struct curl_slist *headers = hop_headers(q, e->at_origin);
    char detail[CURL_ERROR_SIZE] = "", *location = NULL;
    HttpReply *r = e->reply;

    e->begun = false;
    r->code = 0;
    r->first = r->whole = r->length = -1;
    r->validator[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r->code);
    if (e->status)
        return e->status;
    if (code)
        return explain_curl(q, code, detail, r);
    if (r->code == 200 || r->code == 206)
        return begin_once(e, curl); // an empty body never reached take_body
    if (r->code >= 300 && r->code < 400 &&
        !curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location) && location) {
        *next = strdup(location);
        return *next ? OK : fail(E_MEMORY, "%s: no memory to follow a redirect", q->url);
    }
    r->transient = code_is_transient(r->code);
    return fail(E_IO, "%s: the server answered %ld: %s", q->url, r->code, code_meaning(r->code));
}

Status http_get(const HttpRequest *q, HttpReply *reply)
{
    Exchange e = {.request = q, .reply = reply};
    char home[512], here[512];
    char *url = strdup(q->url), *next = NULL;
    CURL *curl = curl_easy_init();
    Body body = {&e, curl};
    Status s = OK;

    *reply = (HttpReply){.linked_size = -1, .length = -1, .first = -1, .whole = -1};
    if (!curl || !url)
        s = fail(E_MEMORY, "%s: no memory for a connection", q->url);
    else if (!url_origin(url, home, sizeof home))
        s = fail(E_CONFIG, "%s: not a URL", q->url);
    else
        set_options(curl, q, &e, &body);
    for (int hop = 0; !s; hop++) {
        if (!url_origin(url, here, sizeof here))
            s = fail(E_IO, "%s: redirects to what is not a URL", q->url);
        else if (!strncmp(home, "https:", 6) && strncmp(here, "https:", 6) != 0)
            s = fail(E_IO, "%s: redirects to an unencrypted address", q->url);
        else if (hop > MOST_HOPS)
            s = fail(E_IO, "%s: redirects more than %d times", q->url, MOST_HOPS);
        e.at_origin = !strcmp(home, here);
        if (!s)
            s = take_hop(curl, &e, url, &next);
        if (s || !next)
            break;
        free(url);
        url = next;
        next = NULL;
    }
    free(url);
    curl_easy_cleanup(curl);
    return s;
}
