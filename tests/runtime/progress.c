/* progress.c - bars and lines as they are written, by a clock of our own; a real terminal. */
#include "runtime/progress.h"
#include "tests/test.h"

#include <math.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static double now;

static double our_clock(void)
{
    return now;
}

typedef struct Screen {
    FILE *stream;
    char *text;
    size_t bytes, seen;
} Screen;

static Progress *opened(Screen *s, ProgressOptions o)
{
    Progress *p = NULL;

    *s = (Screen){0};
    s->stream = open_memstream(&s->text, &s->bytes);
    o.clock = our_clock;
    now = 1000;
    CHECK_OK(progress_open(&p, s->stream, &o));
    return p;
}

/* What was written since the last call. */
static const char *fresh(Screen *s)
{
    fflush(s->stream);
    const char *text = s->text + s->seen;
    s->seen = s->bytes;
    return text;
}

static void closed(Screen *s)
{
    fclose(s->stream);
    free(s->text);
}

static void test_lines(void)
{
    Screen s;
    Progress *p = opened(&s, (ProgressOptions){.label = "train",
                                               .total = 14600,
                                               .line_every = 500,
                                               .form = PROGRESS_LINES,
                                               .line_seconds = 2});

    now += 10;
    progress_set(p, 499, &(ProgressFacts){.tokens = 49900});
    CHECK_TEXT(fresh(&s), "");
    now += 10;
    progress_set(p, 1000, &(ProgressFacts){1.23456, 2.87e-5, 100000, 1.25 * (1 << 30)});
    const char *text = fresh(&s);
    CHECK(!strncmp(text, "train: 1,000/14,600 (6%), loss 1.2346, learning rate 2.87e-05, ", 63));
    CHECK(strstr(text, " tokens/s, 4:32 left, 1.25 GiB\n"));
    now += 1;
    progress_set(p, 1500, NULL); // too soon
    CHECK_TEXT(fresh(&s), "");
    now += 79;
    progress_set(p, 14600, &(ProgressFacts){.loss = NAN, .tokens = 1460000});
    fresh(&s);
    progress_close(p);
    CHECK_TEXT(fresh(&s), "train: 14,600/14,600 (100%), loss nan, 14,600 tokens/s, 1:40 taken\n");
    closed(&s);
}

static void test_rates(void)
{
    Screen s;
    Progress *p = opened(
        &s,
        (ProgressOptions){
            .label = "w", .start = 50, .total = 1050, .form = PROGRESS_LINES, .line_seconds = 1});

    now += 100; // the first update is slow, then one a second: the rate forgets the start
    progress_set(p, 51, NULL);
    CHECK_TEXT(fresh(&s), "w: 51/1,050 (4%), 0.01/s, 27:45:00 left\n");
    for (int i = 0; i < 200; i++) {
        now += 1;
        progress_set(p, 52 + i, NULL);
    }
    CHECK(strstr(fresh(&s), "w: 251/1,050 (23%), 1/s, 13:19 left\n"));
    progress_suspend(p);
    now += 5000; // an evaluation
    progress_set(p, 251, NULL);
    CHECK_TEXT(fresh(&s), "");
    now += 1;
    progress_set(p, 252, NULL);
    CHECK_TEXT(fresh(&s), "w: 252/1,050 (24%), 1/s, 13:18 left\n");
    progress_suspend(p);
    now += 5000;
    progress_close(p);
    CHECK_TEXT(fresh(&s), "w: 252/1,050 (24%), 0.671/s, 5:01 taken\n");
    closed(&s);
}

static void test_bytes(void)
{
    Screen s;
    Progress *p = opened(&s, (ProgressOptions){.label = "model.safetensors",
                                               .bytes = true,
                                               .total = 90 << 20,
                                               .form = PROGRESS_LINES});

    now += 5;
    progress_set(p, 30 << 20, NULL);
    CHECK_TEXT(fresh(&s), "model.safetensors: 30.0 MiB/90.0 MiB (33%), 6.00 MiB/s, 0:10 left\n");
    progress_close(p);
    closed(&s);
    p = opened(&s, (ProgressOptions){.label = "list", .bytes = true, .form = PROGRESS_LINES});
    now += 5;
    progress_set(p, 3 << 20, NULL); // no length was sent
    CHECK_TEXT(fresh(&s), "list: 3.00 MiB, 614 KiB/s\n");
    progress_close(p);
    closed(&s);
}

static const ProgressFacts facts = {1.2345, 2.87e-5, 31200, 1.25 * (1 << 30)};

static void test_bar(void)
{
    Screen s;
    ProgressOptions o = {.label = "train", .total = 1000, .form = PROGRESS_BAR, .columns = 110};

    setenv("LC_ALL", "C.UTF-8", 1);
    Progress *p = opened(&s, o);
    now += 10;
    progress_set(p, 340, &facts);
    CHECK_TEXT(fresh(&s),
               "\rtrain  34% ████████▏                 340/1,000  loss 1.2345  lr 2.87e-05  "
               "3,120 tokens/s  0:19 left  1.25 GiB\033[K");
    now += 0.05;
    progress_set(p, 341, &facts); // ten a second at most
    CHECK_TEXT(fresh(&s), "");
    progress_note(p, "saved %s", "step-341.h5");
    CHECK(!strncmp(fresh(&s), "\r\033[Ksaved step-341.h5\n\rtrain  34% █", 35));
    progress_suspend(p);
    CHECK_TEXT(fresh(&s), "\r\033[K");
    progress_suspend(p);
    CHECK_TEXT(fresh(&s), "");
    progress_set(p, 1000, &facts);
    CHECK(strstr(fresh(&s), "100%"));
    progress_close(p);
    const char *text = fresh(&s);
    CHECK(strstr(text, "  0:10 taken  "));
    CHECK(!strcmp(text + strlen(text) - 4, "\033[K\n"));
    closed(&s);
}

static void test_ascii_bar(void)
{
    Screen s;
    ProgressOptions o = {.label = "read", .total = 4, .form = PROGRESS_BAR, .columns = 60};

    setenv("LC_ALL", "C", 1);
    Progress *p = opened(&s, o);
    now += 1;
    progress_set(p, 1, NULL);
    CHECK_TEXT(fresh(&s), "\rread  25% #######.....................  1/4  1/s  0:03 left\033[K");
    progress_close(p);
    closed(&s);
}

/* The columns that a drawing takes: all that is neither an escape sequence nor a continuation. */
static int columns_in(const char *text)
{
    int n = 0;

    for (; *text; text++)
        if (*text == '\033')
            text += strcspn(text, "AKJ");
        else if (*text != '\r' && *text != '\n' && ((unsigned char)*text & 0xC0) != 0x80)
            n++;
    return n;
}

static void test_every_width(void)
{
    Screen s;

    setenv("LC_ALL", "C.UTF-8", 1);
    for (int columns = 1; columns < 150; columns++) {
        Progress *p = opened(&s, (ProgressOptions){.label = "bert-base-uncased",
                                                   .total = 88524,
                                                   .form = PROGRESS_BAR,
                                                   .columns = columns});
        now += 10;
        progress_set(p, 12345, &facts);
        const char *text = fresh(&s);
        if (!CHECK(columns_in(text) < columns))
            printf("%d columns: %s\n", columns, text);
        CHECK(columns < 16 || strstr(text, "12,345/88,524"));
        CHECK(columns < 50 || strstr(text, "█"));
        CHECK(columns < 120 || strstr(text, "1.25 GiB"));
        progress_close(p);
        closed(&s);
    }
}

static void test_hostile_label(void)
{
    Screen s;
    Progress *p = opened(
        &s, (ProgressOptions){.label = "a\033[2J\xff\n漢字", .total = 2, .form = PROGRESS_LINES});

    progress_close(p);
    CHECK_TEXT(fresh(&s), "a?[2J??漢字: 0/2 (0%), 0:00 taken\n");
    closed(&s);
    p = opened(&s, (ProgressOptions){.label = "漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢",
                                     .total = 2,
                                     .form = PROGRESS_LINES});
    progress_close(p);
    CHECK(!strncmp(fresh(&s), "漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢: 0/2", 48 + 5));
    closed(&s);
}

static void test_silent(void)
{
    Progress *p = NULL;

    CHECK_OK(progress_open(&p, NULL, &(ProgressOptions){.label = "x", .total = 3}));
    progress_set(p, 1, NULL);
    progress_note(p, "nothing");
    progress_suspend(p);
    progress_close(p);
    progress_close(NULL);
}

static void test_terminal_that_shrinks(void)
{
    int master, slave;
    struct winsize size = {.ws_row = 24, .ws_col = 100};
    char text[1024] = "";
    Progress *p = NULL;

    if (openpty(&master, &slave, NULL, NULL, &size) != 0) {
        SKIP("no pseudo-terminal here");
        return;
    }
    FILE *f = fdopen(slave, "w");
    setenv("TERM", "xterm", 1);
    now = 0;
    CHECK_OK(
        progress_open(&p, f, &(ProgressOptions){.label = "x", .total = 3, .clock = our_clock}));
    now += 1;
    progress_set(p, 1, &facts);
    ssize_t n = read(master, text, sizeof text - 1);
    CHECK(n > 0 && !strncmp(text, "\rx  33% ", 8));
    size.ws_col = 30;
    ioctl(slave, TIOCSWINSZ, &size);
    now += 1;
    progress_set(p, 2, &facts);
    n = read(master, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    CHECK(!strncmp(text, "\r\033[2A\033[J", 8) || !strncmp(text, "\r\033[3A\033[J", 8));
    CHECK(columns_in(text) < 30);
    progress_close(p);
    fclose(f);
    close(master);
}

static void test_file(void)
{
    Progress *p = NULL;
    FILE *f = tmpfile(); // no terminal: lines

    CHECK_OK(progress_open(&p, f, &(ProgressOptions){.label = "x", .total = 3}));
    progress_set(p, 3, NULL);
    progress_close(p);
    char text[256] = "";
    rewind(f);
    CHECK(fgets(text, sizeof text, f) && !strncmp(text, "x: 3/3 (100%)", 13));
    fclose(f);
}

int main(void)
{
    RUN(test_lines);
    RUN(test_rates);
    RUN(test_bytes);
    RUN(test_bar);
    RUN(test_ascii_bar);
    RUN(test_every_width);
    RUN(test_hostile_label);
    RUN(test_silent);
    RUN(test_terminal_that_shrinks);
    RUN(test_file);
    return test_result();
}
