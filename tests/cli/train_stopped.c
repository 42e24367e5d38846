/* A signal that comes while cairn train downloads: what the program says and how it ends. */
#include "tests/loopback.h"
#include "tests/run_folder.h"
#include "tests/test.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int child;

/* The hub takes the request, and never answers. */
static void answer(void *context, int socket, const char *path, const char *head)
{
    (void)context, (void)path, (void)head;
    while (!child)
        usleep(1000);
    kill(child, SIGTERM);
    loopback_wait(socket, 20000);
}

/* In a folder of its own; returns waitpid()'s status. */
static int train(const char *const words[])
{
    const char *argv[16] = {getenv("CAIRN"), "train"};
    int status = -1;

    for (int i = 0; words[i]; i++)
        argv[2 + i] = words[i];
    fflush(stdout);
    child = 0;
    const pid_t pid = fork();
    if (pid == 0) {
        if (chdir(test_folder()) == 0 && freopen("err", "w", stderr))
            execv(argv[0], (char **)(uintptr_t)argv);
        _exit(127);
    }
    child = pid;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static void stops(const char *const words[], const char *want)
{
    size_t bytes = 0;
    const int status = train(words);
    char *said = run_text(test_folder(), "err", &bytes);

    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM);
    if (!CHECK(said && strstr(said, want)) || !CHECK(strstr(said, "the download was stopped\n")))
        printf("said: %s\n", said ? said : "nothing");
    free(said);
}

static void the_command_is_told(void)
{
    stops((const char *const[]){"squad-minilm", "model=me/tiny", "train_data=bob's data.jsonl",
                                "output_dir=run", NULL},
          "to go on: cairn train squad-minilm model=me/tiny 'train_data=bob'\\''s data.jsonl' "
          "output_dir=run\n");
    stops((const char *const[]){"--dry-run", "squad", "model=me/tiny", "train_data=a",
                                "output_dir=run", NULL},
          "to go on: cairn train --dry-run squad model=me/tiny train_data=a output_dir=run\n");
}

int main(void)
{
    Loopback *hub = loopback_open(answer, NULL);

    setenv("HF_ENDPOINT", loopback_url(hub), 1);
    setenv("no_proxy", "127.0.0.1", 1);
    setenv("CAIRN_CACHE", run_folder("cache"), 1);
    setenv("HF_HOME", run_folder("hub"), 1);
    unsetenv("HF_HUB_OFFLINE");
    unsetenv("TRANSFORMERS_OFFLINE");
    RUN(the_command_is_told);
    loopback_close(hub);
    return test_result();
}
