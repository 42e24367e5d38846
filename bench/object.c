/* object.c - JSON by RFC 8259: text escaped, numbers that read back as what they are. */
#include "bench/object.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void write_text(FILE *f, const char *text)
{
    fputc('"', f);
    for (; *text; text++)
        if ((unsigned char)*text < 0x20)
            fprintf(f, "\\u%04x", *text);
        else
            fprintf(f, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    fputc('"', f);
}

static void write_key(Object *o, const char *key)
{
    if (o->members++)
        fputs(", ", o->f);
    write_text(o->f, key);
    fputs(": ", o->f);
}

void object_begin(Object *o, FILE *f)
{
    *o = (Object){f, 0};
    fputc('{', f);
}

void object_text(Object *o, const char *key, const char *value)
{
    write_key(o, key);
    if (value && *value)
        write_text(o->f, value);
    else
        fputs("null", o->f);
}

void object_integer(Object *o, const char *key, int64_t value)
{
    write_key(o, key);
    fprintf(o->f, "%" PRId64, value);
}

void object_real(Object *o, const char *key, double value)
{
    char text[32] = "null";

    write_key(o, key);
    if (isfinite(value))
        snprintf(text, sizeof text, "%.6g", value);
    fputs(text, o->f);
    if (isfinite(value) && !strpbrk(text, ".e"))
        fputs(".0", o->f); // so that it is read as a real number
}

void object_above(Object *o, const char *key, double value)
{
    object_real(o, key, value > 0 ? value : NAN);
}

void object_end(Object *o)
{
    fputc('}', o->f);
}
