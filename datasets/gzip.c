/* gzip.c - unpacks a file by zlib, into memory that doubles as it fills. */
#include "datasets/gzip.h"

#include "runtime/file.h"

#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

enum { GZIP_ONLY = 15 + 16 }; // window bits, and no other wrapping

static Status unpack(const char *path, const char *packed, size_t count, size_t limit, char **out,
                     size_t *bytes)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed, .avail_in = (uInt)count};
    size_t room = 4 * count + 4096, used = 0;
    char *text = NULL;
    int rc = inflateInit2(&z, GZIP_ONLY);

    while (rc == Z_OK && used <= limit) {
        char *more = realloc(text, room = text ? 2 * room : room);
        if (!more) {
            inflateEnd(&z);
            free(text);
            return fail(E_MEMORY, "%s: no memory to unpack it", path);
        }
        text = more;
        z.next_out = (Bytef *)text + used;
        z.avail_out = (uInt)(room - used - 1);
        rc = inflate(&z, Z_NO_FLUSH);
        used = (size_t)z.total_out;
    }
    const char *fault = used > limit         ? "more"
                        : rc == Z_BUF_ERROR  ? "a part of one"
                        : rc != Z_STREAM_END ? z.msg ? z.msg : "a fault in it"
                        : z.avail_in         ? "bytes after its end"
                                             : NULL;
    if (fault) {
        fail(E_FORMAT, "%s: expected one gzip file of at most %zu bytes unpacked, found %s", path,
             limit, fault);
        inflateEnd(&z);
        free(text);
        return E_FORMAT;
    }
    inflateEnd(&z);
    text[used] = '\0';
    *out = text;
    *bytes = used;
    return OK;
}

Status gzip_read(const char *path, size_t limit, char **text, size_t *bytes)
{
    char *packed = NULL;
    Status s = file_read(path, limit, text, bytes);

    if (s || *bytes < 2 || (unsigned char)(*text)[0] != 0x1F || (unsigned char)(*text)[1] != 0x8B)
        return s;
    packed = *text;
    *text = NULL;
    s = unpack(path, packed, *bytes, limit, text, bytes);
    free(packed);
    return s;
}
