/* Tests datasets/download.c and datasets/http.c against a server that errs on purpose. */
#include "datasets/download.h"
#include "datasets/digest.h"
#include "runtime/file.h"
#include "tests/loopback.h"
#include "tests/test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 300000 };

static const HttpLimits QUICK = {1000, 1, 2, 20};

typedef struct Site {
    char body[SIZE];
    char range[128], if_range[256], token[256]; // of the last request for a file
    char other[128];                            // URL of another origin
    char other_token[256];                      // token that reached it
    int failures;                               // answers that are still to fail
} Site;

static void answer_range(Site *site, int socket, const char *etag)
{
    char headers[256];
    long first = 0;

    if (sscanf(site->range, "bytes=%ld-", &first) == 1 && !strcmp(site->if_range, etag)) {
        snprintf(headers, sizeof headers, "ETag: %s\r\nContent-Range: bytes %ld-%d/%d\r\n", etag,
                 first, SIZE - 1, SIZE);
        loopback_reply(socket, "206 Partial Content", headers, site->body + first,
                       (size_t)(SIZE - first));
    } else {
        snprintf(headers, sizeof headers, "ETag: %s\r\n", etag);
        loopback_reply(socket, "200 OK", headers, site->body, SIZE);
    }
}

static void answer_badly(Site *site, int socket, const char *path)
{
    char headers[256];

    if (!strcmp(path, "/truncated")) { // cut off, then whole or the rest
        if (site->failures-- > 0) {
            snprintf(headers, sizeof headers,
                     "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: %d\r\n\r\n", SIZE);
            loopback_send(socket, headers, strlen(headers));
            loopback_send(socket, site->body, SIZE / 3);
        } else {
            answer_range(site, socket, "\"one\"");
        }
    } else if (!strcmp(path, "/slow")) {
        static const char START[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nab";
        loopback_send(socket, START, sizeof START - 1);
        loopback_wait(socket, 10000);
    } else if (!strcmp(path, "/endless")) {
        loopback_send(socket, "HTTP/1.1 200 OK\r\n\r\n", 19);
        while (loopback_send(socket, site->body, SIZE))
            ;
    } else if (!strcmp(path, "/wrong-range")) {
        loopback_reply(socket, "206 Partial Content", "Content-Range: bytes 7-99/100\r\n", "x", 1);
    } else if (!strcmp(path, "/flaky")) {
        if (site->failures-- > 0)
            loopback_reply(socket, "500 Internal Server Error", "", "oh", 2);
        else
            answer_range(site, socket, "\"one\"");
    } else {
        loopback_reply(socket, "404 Not Found", "", "no", 2);
    }
}

static void answer(void *context, int socket, const char *path, const char *head)
{
    Site *site = context;
    char headers[512];

    loopback_header(head, "Range", site->range, sizeof site->range);
    loopback_header(head, "If-Range", site->if_range, sizeof site->if_range);
    loopback_header(head, "Authorization", site->token, sizeof site->token);
    if (!strcmp(path, "/file")) {
        answer_range(site, socket, "\"one\"");
    } else if (!strcmp(path, "/away")) {
        snprintf(headers, sizeof headers, "Location: %s/file\r\nX-Linked-Size: %d\r\n", site->other,
                 SIZE);
        loopback_reply(socket, "302 Found", headers, "", 0);
    } else if (!strcmp(path, "/here")) {
        loopback_reply(socket, "307 Temporary Redirect", "Location: /file\r\n", "", 0);
    } else if (!strcmp(path, "/circle")) {
        loopback_reply(socket, "302 Found", "Location: /circle\r\n", "", 0);
    } else if (!strcmp(path, "/scheme")) {
        loopback_reply(socket, "302 Found", "Location: file:///etc/passwd\r\n", "", 0);
    } else if (!strcmp(path, "/private")) {
        loopback_reply(socket, "401 Unauthorized", "", "", 0);
    } else if (!strcmp(path, "/empty")) {
        loopback_reply(socket, "200 OK", "", "", 0);
    } else {
        answer_badly(site, socket, path);
    }
}

static void answer_elsewhere(void *context, int socket, const char *path, const char *head)
{
    Site *site = context;

    (void)path;
    loopback_header(head, "Authorization", site->other_token, sizeof site->other_token);
    loopback_reply(socket, "200 OK", "", site->body, SIZE);
}

static Site site;
static Loopback *server, *elsewhere;
static char url[256], path[1024], sha256[DIGEST_TEXT];

static Download download_of(const char *name)
{
    site.failures = 0;
    snprintf(url, sizeof url, "%s%s", loopback_url(server), name);
    snprintf(path, sizeof path, "%s%s.partial", test_folder(), name);
    unlink(path);
    path[strlen(path) - strlen(".partial")] = '\0';
    return (Download){.url = url, .path = path, .size = -1, .limits = QUICK};
}

static bool is_whole(void)
{
    char *text = NULL;
    size_t bytes = 0;
    const bool good =
        !file_read(path, 1 << 20, &text, &bytes) && bytes == SIZE && !memcmp(text, site.body, SIZE);

    free(text);
    return good;
}

static bool beside(const char *tail)
{
    char name[1100];

    snprintf(name, sizeof name, "%s%s", path, tail);
    return file_exists(name);
}

static void leave_part(size_t count, const char *validator)
{
    char name[1100], note[600];

    snprintf(name, sizeof name, "%s.partial", path);
    CHECK_OK(file_write(name, site.body, count));
    snprintf(name, sizeof name, "%s.partial.from", path);
    snprintf(note, sizeof note, "%s\n%s\n", url, validator);
    CHECK_OK(file_write(name, note, strlen(note)));
}

static void a_file_comes_whole(void)
{
    Download d = download_of("/file");

    d.sha256 = sha256;
    d.size = SIZE;
    CHECK_OK(download_file(&d));
    CHECK(is_whole());
    CHECK(!beside(".partial") && !beside(".partial.from"));
    CHECK_TEXT(site.range, "");
    unlink(path);
    d = download_of("/empty");
    CHECK_OK(download_file(&d));
    CHECK(file_exists(path));
}

static void a_part_is_resumed_under_its_validator(void)
{
    Download d = download_of("/file");

    leave_part(100000, "\"one\"");
    CHECK_OK(download_file(&d));
    CHECK_TEXT(site.range, "bytes=100000-");
    CHECK_TEXT(site.if_range, "\"one\"");
    CHECK(is_whole());
    unlink(path);
    leave_part(100000, "\"old\""); // the server's file has changed: all of it comes
    CHECK_OK(download_file(&d));
    CHECK_TEXT(site.if_range, "\"old\"");
    CHECK(is_whole());
    unlink(path);
    leave_part(100000, ""); // neither validator nor digest: not trusted
    CHECK_OK(download_file(&d));
    CHECK_TEXT(site.range, "");
    CHECK(is_whole());
    unlink(path);
}

static void a_bad_part_is_found_by_its_digest(void)
{
    Download d = download_of("/file");

    d.sha256 = sha256;
    site.body[5] ^= 1;
    leave_part(100000, "\"one\"");
    site.body[5] ^= 1;
    const int before = loopback_count(server);
    CHECK_OK(download_file(&d));
    CHECK(loopback_count(server) == before + 2);
    CHECK(is_whole());
    unlink(path);
}

static void a_wrong_digest_leaves_nothing(void)
{
    Download d = download_of("/file");
    char want[1024];

    d.sha256 = "00000000000000000000000000000000000000000000000000000000000000aa";
    CHECK(download_file(&d) == E_FORMAT);
    snprintf(want, sizeof want, "%s: the file that came has sha256 %s, expected %s", url, sha256,
             d.sha256);
    CHECK_TEXT(status_text(), want);
    CHECK(!file_exists(path) && !beside(".partial") && !beside(".partial.from"));
    d.sha256 = NULL;
    d.size = SIZE + 1;
    CHECK(download_file(&d) == E_IO);
    CHECK(strstr(status_text(), "offers 300000 bytes, expected 300001") != NULL);
}

static void a_truncated_body_is_resumed(void)
{
    Download d = download_of("/truncated");

    site.failures = 1;
    CHECK_OK(download_file(&d));
    CHECK_TEXT(site.range, "bytes=100000-");
    CHECK(is_whole());
    unlink(path);
    site.failures = 100;
    CHECK(download_file(&d) == E_IO);
    CHECK(!strncmp(status_text(), "after 3 attempts: http://127.0.0.1", 30));
    CHECK(!file_exists(path) && beside(".partial"));
}

static void transient_answers_are_retried_and_others_not(void)
{
    Download d = download_of("/flaky");
    char want[512];

    site.failures = 2;
    CHECK_OK(download_file(&d));
    CHECK(is_whole());
    site.failures = 100;
    int before = loopback_count(server);
    CHECK(download_file(&d) == E_IO);
    CHECK(loopback_count(server) == before + 3);
    snprintf(want, sizeof want, "after 3 attempts: %s: the server answered 500: it has failed",
             url);
    CHECK_TEXT(status_text(), want);
    d = download_of("/missing");
    before = loopback_count(server);
    CHECK(download_file(&d) == E_IO);
    CHECK(loopback_count(server) == before + 1);
    snprintf(want, sizeof want, "%s: the server answered 404: it has no such file", url);
    CHECK_TEXT(status_text(), want);
    CHECK(!file_exists(path) && !beside(".partial"));
    d = download_of("/private");
    CHECK(download_file(&d) == E_IO);
    snprintf(want, sizeof want, "%s: the server answered 401: it asks for a token", url);
    CHECK_TEXT(status_text(), want);
}

static void a_token_stays_at_its_origin(void)
{
    Download d = download_of("/here");

    d.token = "secret";
    CHECK_OK(download_file(&d));
    CHECK_TEXT(site.token, "Bearer secret");
    d = download_of("/away");
    d.token = "secret";
    d.hub = true;
    snprintf(site.other_token, sizeof site.other_token, "none seen");
    CHECK_OK(download_file(&d));
    CHECK_TEXT(site.token, "Bearer secret");
    CHECK_TEXT(site.other_token, "");
    CHECK(is_whole());
}

static void hostile_answers_end(void)
{
    Download d = download_of("/circle");

    CHECK(download_file(&d) == E_IO);
    CHECK(strstr(status_text(), "/circle: redirects more than 10 times") != NULL);
    d = download_of("/scheme");
    CHECK(download_file(&d) == E_IO);
    CHECK(strstr(status_text(), "/scheme: ") != NULL);
    CHECK(!file_exists(path));
    d = download_of("/slow");
    d.limits.retries = 0;
    CHECK(download_file(&d) == E_IO);
    CHECK(strstr(status_text(), "/slow: no data came for 1 s") != NULL);
    d = download_of("/endless");
    d.size = 2 * SIZE;
    CHECK(download_file(&d) == E_IO);
    CHECK(strstr(status_text(), "more than the 600000 bytes expected") != NULL);
    d = download_of("/wrong-range");
    CHECK(download_file(&d) == E_IO);
    CHECK(strstr(status_text(), "the server sent bytes from 7, asked for from 0") != NULL);
}

static void a_document_is_bounded(void)
{
    Download d = download_of("/file");
    char *text = NULL;
    long code = 0;

    CHECK_OK(download_text(&d, SIZE, &text, &code));
    CHECK(code == 200 && !memcmp(text, site.body, SIZE));
    free(text);
    CHECK(download_text(&d, SIZE - 1, &text, &code) == E_IO);
    CHECK(strstr(status_text(), "more than the 299999 bytes that are read here") != NULL);
    d = download_of("/missing");
    CHECK(download_text(&d, SIZE, &text, &code) == E_IO);
    CHECK(code == 404);
}

static void nobody_there_is_said_at_once(void)
{
    Download d = download_of("/file");

    d.url = "http://127.0.0.1:1/file"; // nothing listens there
    d.limits.retries = 5;
    d.limits.backoff_ms = 5000; // a retry would make this test slow
    CHECK(download_file(&d) == E_IO);
    CHECK(!strncmp(status_text(), "http://127.0.0.1:1/file: Failed to connect", 42));
    d.url = "no url";
    CHECK(download_file(&d) != OK);
}

/* A listener whose queue is full: connections to it are neither taken nor refused. */
static void a_silent_host_is_given_up(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int waiting[4];
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    Download d = download_of("/file");

    CHECK(bind(listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(listener, 0) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&a, &length) == 0);
    for (int i = 0; i < 4; i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (struct sockaddr *)&a, sizeof a);
    }
    snprintf(url, sizeof url, "http://127.0.0.1:%d/file", ntohs(a.sin_port));
    d.limits.connect_ms = 300;
    d.limits.retries = 5;
    d.limits.backoff_ms = 5000; // a retry would make this test slow
    CHECK(download_file(&d) == E_IO);
    CHECK(!strncmp(status_text(), "http://", 7)); // not "after 6 attempts"
    // curl has several sentences for it, by where it looked at the clock
    CHECK(strstr(status_text(), "imed out") || strstr(status_text(), "imeout") ||
          strstr(status_text(), "Failed to connect"));
    for (int i = 0; i < 4; i++)
        close(waiting[i]);
    close(listener);
}

static bool stop_midway(void *context, const char *name, int64_t done, int64_t total)
{
    CHECK_TEXT(name, "truncated");
    *(int64_t *)context = total;
    return done < SIZE / 3;
}

static void progress_can_stop_it(void)
{
    int64_t total = 0;
    const DownloadProgress progress = {stop_midway, &total};
    Download d = download_of("/truncated");

    site.failures = 100;
    d.progress = &progress;
    CHECK(download_file(&d) == E_STOPPED);
    CHECK(total == SIZE);
    CHECK(!file_exists(path) && beside(".partial"));
}

int main(void)
{
    char *whole = file_path(test_folder(), "whole");

    setenv("no_proxy", "127.0.0.1", 1);
    for (int i = 0; i < SIZE; i++)
        site.body[i] = (char)(i * 7 + i / 251);
    server = loopback_open(answer, &site);
    elsewhere = loopback_open(answer_elsewhere, &site);
    snprintf(site.other, sizeof site.other, "%s", loopback_url(elsewhere));
    CHECK_OK(file_write(whole, site.body, SIZE));
    CHECK_OK(digest_file(whole, DIGEST_SHA256, sha256));
    RUN(a_file_comes_whole);
    RUN(a_part_is_resumed_under_its_validator);
    RUN(a_bad_part_is_found_by_its_digest);
    RUN(a_wrong_digest_leaves_nothing);
    RUN(a_truncated_body_is_resumed);
    RUN(transient_answers_are_retried_and_others_not);
    RUN(a_token_stays_at_its_origin);
    RUN(hostile_answers_end);
    RUN(a_document_is_bounded);
    RUN(nobody_there_is_said_at_once);
    RUN(a_silent_host_is_given_up);
    RUN(progress_can_stop_it);
    loopback_close(server);
    loopback_close(elsewhere);
    free(whole);
    return test_result();
}
