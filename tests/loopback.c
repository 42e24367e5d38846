/* loopback.c - accepts, reads the head of a request, asks the test, closes. */
#include "tests/loopback.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct Loopback {
    int listener;
    char url[64];
    atomic_int count;
    atomic_bool ending;
    pthread_t thread;
    LoopbackAnswer *answer;
    void *context;
};

bool loopback_send(int socket, const void *bytes, size_t count)
{
    const char *at = bytes;

    while (count > 0) {
        const ssize_t sent = send(socket, at, count, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        count -= (size_t)sent;
    }
    return true;
}

void loopback_reply(int socket, const char *status, const char *headers, const void *body,
                    size_t count)
{
    char head[4096];
    const int n = snprintf(head, sizeof head,
                           "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n",
                           status, count, headers);

    if (loopback_send(socket, head, (size_t)n))
        loopback_send(socket, body, count);
}

void loopback_header(const char *head, const char *name, char *value, size_t room)
{
    const size_t n = strlen(name);

    value[0] = '\0';
    for (const char *line = head; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (!strncasecmp(line, name, n) && line[n] == ':') {
            line += n + 1 + strspn(line + n + 1, " ");
            snprintf(value, room, "%.*s", (int)strcspn(line, "\r\n"), line);
        }
}

void loopback_wait(int socket, int ms)
{
    struct pollfd p = {.fd = socket, .events = POLLIN | POLLRDHUP};

    poll(&p, 1, ms);
}

static void serve_one(Loopback *l, int socket)
{
    char head[16384], path[2048] = "";
    size_t have = 0;
    ssize_t got;

    head[0] = '\0';
    while (!strstr(head, "\r\n\r\n") && have + 1 < sizeof head &&
           (got = recv(socket, head + have, sizeof head - 1 - have, 0)) > 0) {
        have += (size_t)got;
        head[have] = '\0';
    }
    if (sscanf(head, "%*s %2047s", path) == 1) {
        atomic_fetch_add(&l->count, 1);
        l->answer(l->context, socket, path, head);
    }
    shutdown(socket, SHUT_WR);
    loopback_wait(socket, 1000); // what is unread would turn our end into a reset
}

static void *serve(void *context)
{
    Loopback *l = context;

    for (;;) {
        const int socket = accept(l->listener, NULL, NULL);
        if (atomic_load(&l->ending)) {
            if (socket >= 0)
                close(socket);
            return NULL;
        }
        if (socket < 0)
            continue;
        serve_one(l, socket);
        close(socket);
    }
}

Loopback *loopback_open(LoopbackAnswer *answer, void *context)
{
    Loopback *l = calloc(1, sizeof *l);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;

    if (!l)
        abort();
    l->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    l->answer = answer;
    l->context = context;
    if (l->listener < 0 || bind(l->listener, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(l->listener, 16) != 0 ||
        getsockname(l->listener, (struct sockaddr *)&a, &length) != 0 ||
        pthread_create(&l->thread, NULL, serve, l) != 0)
        abort();
    snprintf(l->url, sizeof l->url, "http://127.0.0.1:%d", ntohs(a.sin_port));
    return l;
}

void loopback_close(Loopback *l)
{
    atomic_store(&l->ending, true);
    shutdown(l->listener, SHUT_RDWR); // wakes accept()
    pthread_join(l->thread, NULL);
    close(l->listener);
    free(l);
}

const char *loopback_url(const Loopback *l)
{
    return l->url;
}

int loopback_count(Loopback *l)
{
    return atomic_load(&l->count);
}
