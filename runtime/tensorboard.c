/* tensorboard.c - event files: records around hand-encoded protocol buffers. */
#include "runtime/tensorboard.h"

#include "runtime/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; // wire types

struct Tensorboard {
    FILE *stream;
    char *path;
};

/* A message that grows; `failed` once there was no memory. */
typedef struct Message {
    uint8_t *bytes;
    size_t size, room;
    bool failed;
} Message;

static void put(Message *m, const void *bytes, size_t count)
{
    if (m->size + count > m->room && !m->failed) {
        const size_t room = 2 * (m->size + count) + 64;
        uint8_t *more = realloc(m->bytes, room);
        m->failed = !more;
        if (more) {
            m->bytes = more;
            m->room = room;
        }
    }
    if (m->failed || count == 0)
        return;
    memcpy(m->bytes + m->size, bytes, count);
    m->size += count;
}

static void put_fixed(Message *m, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        put(m, &(uint8_t){(uint8_t)(value >> 8 * i)}, 1);
}

static void put_varint(Message *m, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put(m, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
    put(m, &(uint8_t){(uint8_t)value}, 1);
}

static void put_field(Message *m, unsigned field, unsigned wire)
{
    put_varint(m, field << 3 | wire);
}

static void put_bytes(Message *m, unsigned field, const void *bytes, size_t count)
{
    put_field(m, field, BYTES);
    put_varint(m, count);
    put(m, bytes, count);
}

static void put_double(Message *m, unsigned field, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_field(m, field, FIXED64);
    put_fixed(m, bits, 8);
}

static void put_float(Message *m, unsigned field, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_field(m, field, FIXED32);
    put_fixed(m, bits, 4);
}

/* Bit by bit: a line of numbers every few seconds needs no table. */
uint32_t crc32c(const void *bytes, size_t count)
{
    const uint8_t *p = bytes;
    uint32_t crc = ~UINT32_C(0);

    for (size_t i = 0; i < count; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82F63B78) : 0);
    }
    return ~crc;
}

static uint32_t masked_crc(const void *bytes, size_t count)
{
    const uint32_t crc = crc32c(bytes, count);

    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

/* Writes an event as a record in one piece and frees it. */
static Status write_record(Tensorboard *t, Message *event)
{
    Message record = {0};

    put_fixed(&record, event->size, 8);
    put_fixed(&record, record.failed ? 0 : masked_crc(record.bytes, 8), 4);
    put(&record, event->bytes, event->size);
    put_fixed(&record, masked_crc(event->bytes, event->size), 4);
    Status s = OK;
    if (event->failed || record.failed)
        s = fail(E_MEMORY, "%s: no memory for an event", t->path);
    else if (fwrite(record.bytes, 1, record.size, t->stream) != record.size ||
             fflush(t->stream) != 0)
        s = fail(E_IO, "%s: cannot be written: %s", t->path, strerror(errno));
    free(record.bytes);
    free(event->bytes);
    return s;
}

static void begin_event(Message *m, double time, int64_t step)
{
    put_double(m, 1, time);
    if (step != 0) {
        put_field(m, 2, VARINT);
        put_varint(m, (uint64_t)step);
    }
}

static Status write_opening(Tensorboard *t, double time, int64_t resumed_step)
{
    static const char version[] = "brain.Event:2";
    static const uint8_t session_start[] = {1 << 3 | VARINT, 1};
    Message event = {0};

    begin_event(&event, time, 0);
    put_bytes(&event, 3, version, sizeof version - 1);
    Status s = write_record(t, &event);
    if (s)
        return s;
    event = (Message){0};
    begin_event(&event, time, resumed_step < 0 ? 0 : resumed_step + 1);
    put_bytes(&event, 7, session_start, sizeof session_start);
    return write_record(t, &event);
}

/* A name that no file has yet. Readers go through a folder's files by name, so time is first. */
static Status create(Tensorboard *t, const char *folder, double time)
{
    char host[65] = "localhost", name[160];

    gethostname(host, sizeof host - 1);
    for (int number = 0; number < 1000; number++) {
        snprintf(name, sizeof name, "events.out.tfevents.%010lld.%s.%ld.%d", (long long)time, host,
                 (long)getpid(), number);
        free(t->path);
        t->path = file_path(folder, name);
        if (!t->path)
            return fail(E_MEMORY, "%s: no memory to write events", folder);
        t->stream = fopen(t->path, "wbx");
        if (t->stream)
            return OK;
        if (errno != EEXIST)
            break;
    }
    return fail(E_IO, "%s: cannot be written: %s", t->path, strerror(errno));
}

Status tensorboard_open(Tensorboard **out, const char *folder, double time, int64_t resumed_step)
{
    Tensorboard *t = calloc(1, sizeof *t);

    if (!t)
        return fail(E_MEMORY, "%s: no memory to write events", folder);
    Status s = create(t, folder, time);
    if (!s)
        s = write_opening(t, time, resumed_step);
    if (s) {
        tensorboard_close(t);
        return s;
    }
    *out = t;
    return OK;
}

const char *tensorboard_path(const Tensorboard *t)
{
    return t->path;
}

Status tensorboard_write(Tensorboard *t, int64_t step, double time, const Metric values[],
                         int count)
{
    Message event = {0}, summary = {0};

    for (int i = 0; i < count; i++) {
        Message value = {0};
        put_bytes(&value, 1, values[i].name, strlen(values[i].name));
        put_float(&value, 2, (float)values[i].value);
        put_bytes(&summary, 1, value.bytes, value.size);
        summary.failed |= value.failed;
        free(value.bytes);
    }
    begin_event(&event, time, step);
    put_bytes(&event, 5, summary.bytes, summary.size);
    event.failed |= summary.failed;
    free(summary.bytes);
    return write_record(t, &event);
}

void tensorboard_close(Tensorboard *t)
{
    if (!t)
        return;
    if (t->stream)
        fclose(t->stream);
    free(t->path);
    free(t);
}
