/* hub.c - asks the hub what a model consists of and fetches it, whole or not at all. */
#include "datasets/hub.h"

#include "datasets/digest.h"
#include "datasets/hub_listing.h"
#include "runtime/file.h"
#include "runtime/pickle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { LARGEST_LISTING = 16 << 20, LONGEST_TOKEN = 1024 };

static const char INDEX[] = "model.safetensors.index.json";

typedef struct Hub {
    const HubId *id;
    const HttpLimits *limits;
    const DownloadProgress *progress;
    const char *sha256; // of model.safetensors, or NULL
    char endpoint[512], token[LONGEST_TOKEN];
    char shown[400]; // "owner/name" or "owner/name@revision"
    HubListing listing;
    char *part; // where the files are put before they are whole
} Hub;

static bool is_id_part(const char *text, size_t length)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (length == 0 || length > 96 || *text == '.' || *text == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!strchr(ALLOWED, text[i]) || (i && text[i] == '.' && text[i - 1] == '.') ||
            (i && text[i] == '-' && text[i - 1] == '-'))
            return false;
    return true;
}

static bool is_revision(const char *text)
{
    const size_t length = strlen(text);

    if (length == 0 || length > 150 || *text == '/' || text[length - 1] == '/')
        return false;
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)text[i];
        const bool starts = i == 0 || text[i - 1] == '/';
        if (c <= ' ' || c >= 127 || strchr("?#%\\\"'<>^~:*[", c) ||
            (starts && (c == '.' || c == '/')))
            return false;
    }
    return !strstr(text, "..");
}

Status hub_parse(const char *text, HubId *id)
{
    const char *slash = strchr(text, '/'), *at = strchr(text, '@');
    const size_t end = at ? (size_t)(at - text) : strlen(text);

    if (!slash || (size_t)(slash - text) >= end || !is_id_part(text, (size_t)(slash - text)) ||
        !is_id_part(slash + 1, end - (size_t)(slash - text) - 1))
        return fail(E_CONFIG, "'%.200s' is no hub id: expected owner/name or owner/name@revision",
                    text);
    if (at && !is_revision(at + 1))
        return fail(E_CONFIG, "'%.200s': what follows @ is no branch, tag or commit", text);
    snprintf(id->owner, sizeof id->owner, "%.*s", (int)(slash - text), text);
    snprintf(id->name, sizeof id->name, "%.*s", (int)(end - (size_t)(slash - text) - 1), slash + 1);
    snprintf(id->revision, sizeof id->revision, "%s", at ? at + 1 : "main");
    return OK;
}

static bool is_true(const char *name)
{
    const char *value = getenv(name);

    return value && (!strcmp(value, "1") || !strcasecmp(value, "on") || !strcasecmp(value, "yes") ||
                     !strcasecmp(value, "true"));
}

bool hub_is_offline(void)
{
    return is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE");
}

static Status take_token(Hub *h, const char *text, const char *from)
{
    const size_t skip = strspn(text, " \t\r\n"), length = strcspn(text + skip, " \t\r\n");

    if (length >= sizeof h->token)
        return fail(E_CONFIG, "%s: longer than a token of the hub is", from);
    for (size_t i = 0; i < length; i++)
        if (text[skip + i] < '!' || text[skip + i] > '~')
            return fail(E_CONFIG, "%s: holds a byte that no token of the hub has", from);
    snprintf(h->token, sizeof h->token, "%.*s", (int)length, text + skip);
    return OK;
}

static Status read_token(Hub *h)
{
    const char *value = getenv("HF_TOKEN"), *path = getenv("HF_TOKEN_PATH");
    char *home = NULL, *file = NULL, *text = NULL;
    Status s = OK;

    if (value && *value)
        return take_token(h, value, "HF_TOKEN");
    if (is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        return OK;
    if (path && *path)
        file = strdup(path);
    else if (!cache_huggingface_home(&home))
        file = file_path(home, "token");
    if (file && file_exists(file) && !(s = file_read(file, LONGEST_TOKEN, &text, NULL)))
        s = take_token(h, text, file);
    free(home);
    free(file);
    free(text);
    return s;
}

static Status hub_open(Hub *h)
{
    const char *endpoint = getenv("HF_ENDPOINT");

    if (h->id->owner[0])
        snprintf(h->shown, sizeof h->shown, "%s/%s", h->id->owner, h->id->name);
    else
        snprintf(h->shown, sizeof h->shown, "%s", h->id->name);
    if (hub_is_offline())
        return fail(E_IO, "%s: HF_HUB_OFFLINE is set, so the hub is not asked", h->shown);
    if (!endpoint || !*endpoint)
        endpoint = "https://huggingface.co";
    if (strlen(endpoint) >= sizeof h->endpoint ||
        (strncasecmp(endpoint, "http://", 7) != 0 && strncasecmp(endpoint, "https://", 8) != 0))
        return fail(E_CONFIG, "HF_ENDPOINT is '%.200s', expected http:// or https:// and a host",
                    endpoint);
    snprintf(h->endpoint, sizeof h->endpoint, "%s", endpoint);
    for (size_t n = strlen(h->endpoint); n && h->endpoint[n - 1] == '/'; n--)
        h->endpoint[n - 1] = '\0';
    return read_token(h);
}

static Status explain_refusal(const Hub *h, Status s, long code)
{
    const char *with = h->token[0] ? "the token given" : "no token";

    if (code == 401 || code == 404)
        return fail(s,
                    "%s: the hub at %s has no such model or revision '%s', or shows it only with "
                    "HF_TOKEN (answer %ld, asked with %s)",
                    h->shown, h->endpoint, h->id->revision, code, with);
    if (code == 403)
        return fail(s,
                    "%s: the hub at %s refuses it (answer 403, asked with %s): accept its terms "
                    "on its page and set HF_TOKEN",
                    h->shown, h->endpoint, with);
    return s;
}

/* Writes revision with '/' as %2F, as the hub's paths want it. */
static void escape_revision(const char *revision, char *out, size_t room)
{
    size_t n = 0;

    for (; *revision && n + 4 < room; revision++) {
        if (*revision == '/')
            n += (size_t)snprintf(out + n, room - n, "%%2F");
        else
            out[n++] = *revision;
    }
    out[n] = '\0';
}

static Status read_listing(Hub *h)
{
    char url[2048], revision[512], *text = NULL;
    long code = 0;

    escape_revision(h->id->revision, revision, sizeof revision);
    snprintf(url, sizeof url, "%s/api/models/%s/revision/%s?blobs=true", h->endpoint, h->shown,
             revision);
    const Download d = {.url = url,
                        .name = h->shown,
                        .size = -1,
                        .token = h->token[0] ? h->token : NULL,
                        .limits = h->limits ? *h->limits : HTTP_LIMITS,
                        .progress = h->progress};
    Status s = download_text(&d, LARGEST_LISTING, &text, &code);
    if (s)
        return s == E_STOPPED ? s : explain_refusal(h, s, code);
    s = hub_listing_parse(url, text, &h->listing);
    free(text);
    return s;
}

static bool file_is_done(const char *path, const Download *d)
{
    char got[DIGEST_TEXT];
    const char *want = d->sha256 ? d->sha256 : d->git_blob;

    return want && file_exists(path) &&
           !digest_file(path, d->sha256 ? DIGEST_SHA256 : DIGEST_GIT_BLOB, got) &&
           !strcmp(got, want);
}

static Status fetch_file(const Hub *h, const char *name)
{
    const HubFile none = {.name = name, .size = -1}, *listed = hub_listing_find(&h->listing, name);
    const HubFile *file = listed ? listed : &none;
    const char *sha256 = file->sha256;
    char url[2048], *path = file_path(h->part, name);

    if (!path)
        return fail(E_MEMORY, "%s: no memory to fetch it", name);
    if (h->sha256 && digest_is_hex(h->sha256, 64) && !strcmp(name, "model.safetensors"))
        sha256 = h->sha256;
    snprintf(url, sizeof url, "%s/%s/resolve/%s/%s", h->endpoint, h->shown, h->listing.commit,
             name);
    const Download d = {.url = url,
                        .path = path,
                        .sha256 = sha256,
                        .git_blob = file->git_blob,
                        .size = file->size,
                        .token = h->token[0] ? h->token : NULL,
                        .hub = true,
                        .limits = h->limits ? *h->limits : HTTP_LIMITS,
                        .progress = h->progress};
    const Status s = file_is_done(path, &d) ? OK : download_file(&d);
    free(path);
    return s;
}

static bool is_small_file(const char *name)
{
    const size_t n = strlen(name);

    return !strcmp(name, "config.json") || !strcmp(name, "vocab.txt") ||
           !strcmp(name, "special_tokens_map.json") ||
           (n < 100 && n > 14 && !strncmp(name, "tokenizer", 9) && !strcmp(name + n - 5, ".json") &&
            !strpbrk(name, "/\\?#% ")) ||
           !strcmp(name, "tokenizer.json");
}

static Status fetch_shards(const Hub *h)
{
    char *path = file_path(h->part, INDEX), **shards = NULL;
    Status s = path ? fetch_file(h, INDEX) : fail(E_MEMORY, "%s: no memory to fetch it", INDEX);

    if (!s && (s = model_shards_read(path, &shards)))
        unlink(path);
    for (int i = 0; !s && shards[i]; i++)
        s = fetch_file(h, shards[i]);
    model_shards_free(shards);
    free(path);
    return s;
}

static Status refuse_weights(const Hub *h)
{
    char command[PICKLE_COMMAND];

    if (!hub_listing_find(&h->listing, "pytorch_model.bin") &&
        !hub_listing_find(&h->listing, "pytorch_model.bin.index.json"))
        return fail(E_FORMAT, "%s: the hub has no model.safetensors in it", h->shown);
    pickle_command("DIR/pytorch_model.bin", "DIR/model.safetensors", command, sizeof command);
    return fail(E_FORMAT,
                "%s: the hub has only pytorch_model.bin, which is not read here; fetch it with "
                "hf download %s --local-dir DIR, convert it with %s and give model=DIR",
                h->shown, h->shown, command);
}

static Status fetch_all(const Hub *h)
{
    const bool one = hub_listing_find(&h->listing, "model.safetensors") != NULL;
    Status s = OK;

    if (!one && !hub_listing_find(&h->listing, INDEX))
        return refuse_weights(h);
    if (!hub_listing_find(&h->listing, "config.json"))
        return fail(E_FORMAT, "%s: the hub has no config.json in it", h->shown);
    for (int64_t i = 0; !s && i < h->listing.count; i++)
        if (is_small_file(h->listing.files[i].name))
            s = fetch_file(h, h->listing.files[i].name);
    if (!s)
        s = one ? fetch_file(h, "model.safetensors") : fetch_shards(h);
    const char *lacks = s ? NULL : model_folder_lacks(h->part);
    return lacks ? fail(E_FORMAT, "%s: the hub's copy lacks %s", h->shown, lacks) : s;
}

/* Gives the finished folder its name; a process that was quicker is as good. */
static Status commit_folder(const Hub *h, const char *top, char **folder)
{
    char *done = NULL, *ref = NULL, *slash;
    Status s = OK;

    if (asprintf(&done, "%s/snapshots/%s", top, h->listing.commit) < 0)
        done = NULL;
    if (asprintf(&ref, "%s/refs/%s", top, h->id->revision) < 0)
        ref = NULL;
    if (!done || !ref)
        s = fail(E_MEMORY, "%s: no memory to keep it", h->shown);
    else if (rename(h->part, done) != 0 && model_folder_lacks(done))
        s = fail(E_IO, "%s: cannot be written: %s", done, strerror(errno));
    if (!s && !digest_is_hex(h->id->revision, 40)) {
        slash = strrchr(ref, '/');
        *slash = '\0';
        s = file_make_folder(ref);
        *slash = '/';
        if (!s)
            s = file_write(ref, h->listing.commit, 40);
    }
    free(ref);
    if (s)
        free(done);
    else
        *folder = done;
    return s;
}

Status hub_fetch(const HubId *id, const char *hub, const char *sha256, const HttpLimits *limits,
                 const DownloadProgress *progress, char **folder)
{
    Hub h = {.id = id, .limits = limits, .progress = progress, .sha256 = sha256};
    char *top = cache_model_folder(hub, id);
    Status s = top ? hub_open(&h) : fail(E_MEMORY, "%s: no memory to fetch it", id->name);

    if (!s)
        s = read_listing(&h);
    if (!s && asprintf(&h.part, "%s/snapshots/%s.partial", top, h.listing.commit) < 0) {
        h.part = NULL;
        s = fail(E_MEMORY, "%s: no memory to fetch it", id->name);
    }
    if (!s)
        s = file_make_folder(h.part);
    if (!s)
        s = fetch_all(&h);
    if (!s)
        s = commit_folder(&h, top, folder);
    else if (h.part)
        rmdir(h.part); // stays where files in it can be resumed
    hub_listing_free(&h.listing);
    free(h.part);
    free(top);
    return s;
}
