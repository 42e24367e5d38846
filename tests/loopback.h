/* loopback.h - a web server on 127.0.0.1 for tests of what downloads.
 *
 * One thread, one connection at a time, each closed after one answer. The test's function sees the
 * request's head as text and writes the answer to the socket, as rightly or as wrongly as it likes.
 */
#ifndef TESTS_LOOPBACK_H
#define TESTS_LOOPBACK_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Loopback Loopback;
typedef void LoopbackAnswer(void *context, int socket, const char *path, const char *head);

Loopback *loopback_open(LoopbackAnswer *answer, void *context); // aborts where it cannot
void loopback_close(Loopback *l);
const char *loopback_url(const Loopback *l); // "http://127.0.0.1:<port>"
int loopback_count(Loopback *l);             // requests so far

/* Writes to the socket; false once the other side has gone. */
bool loopback_send(int socket, const void *bytes, size_t count);

/* A whole answer. status "200 OK"; headers: lines that each end in \r\n, or "". */
void loopback_reply(int socket, const char *status, const char *headers, const void *body,
                    size_t count);

/* The value of a header of the request, copied to value ("" where it is not there). */
void loopback_header(const char *head, const char *name, char *value, size_t room);

/* Waits until the other side closes, ms at most. */
void loopback_wait(int socket, int ms);

#endif
