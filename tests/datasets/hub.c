/* Tests datasets/hub.c and datasets/cache.c against a hub of our own. */
#include "datasets/hub.h"
#include "datasets/digest.h"
#include "runtime/file.h"
#include "tests/loopback.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char COMMIT[] = "0123456789abcdef0123456789abcdef01234567";
static const char WEIGHTS[] = "the weights, as far as this test goes";
static const char INDEX[] = "{\"weight_map\": {\"a\": \"part-1.safetensors\", "
                            "\"b\": \"part-2.safetensors\", \"c\": \"part-1.safetensors\"}}";
static const HttpLimits QUICK = {1000, 1, 1, 20};

typedef struct Site {
    const char *files;  // the listing's siblings
    const char *commit; // the listing's sha
    const char *index;  // what the index says
    char linked[128];   // X-Linked-Etag of weights
    char store[128];    // URL of the store that weights are redirected to
    char token[256], store_token[256], listing[512];
    int broken; // answers of the store that are cut off
} Site;

static void answer(void *context, int socket, const char *path, const char *head)
{
    Site *site = context;
    const char *name = strrchr(path, '/') + 1;
    char text[4096];

    loopback_header(head, "Authorization", site->token, sizeof site->token);
    if (!strncmp(path, "/api/models/me/", 15)) {
        snprintf(site->listing, sizeof site->listing, "%s", path);
        snprintf(text, sizeof text, "{\"sha\": \"%s\", \"siblings\": [%s]}", site->commit,
                 site->files);
        loopback_reply(socket, "200 OK", "", text, strlen(text));
    } else if (!strncmp(path, "/api/models/gated/", 18)) {
        loopback_reply(socket, "403 Forbidden", "", "", 0);
    } else if (!strncmp(path, "/api/models/hidden/", 19)) {
        loopback_reply(socket, "401 Unauthorized", "", "", 0);
    } else if (!strncmp(path, "/api/", 5) || !strstr(path, COMMIT)) {
        loopback_reply(socket, "404 Not Found", "", "", 0);
    } else if (strstr(name, ".safetensors.index")) {
        loopback_reply(socket, "200 OK", "", site->index, strlen(site->index));
    } else if (strstr(name, ".safetensors")) {
        snprintf(text, sizeof text,
                 "Location: %s/signed\r\nX-Linked-Etag: \"%s\"\r\n"
                 "X-Linked-Size: %zu\r\n",
                 site->store, site->linked, strlen(WEIGHTS));
        loopback_reply(socket, "302 Found", text, "", 0);
    } else {
        snprintf(text, sizeof text, "ETag: \"ce013625030ba8dba906f756967f9e9ca394464a\"\r\n");
        loopback_reply(socket, "200 OK", text, "hello\n", 6);
    }
}

static void answer_store(void *context, int socket, const char *path, const char *head)
{
    Site *site = context;

    (void)path;
    loopback_header(head, "Authorization", site->store_token, sizeof site->store_token);
    if (site->broken-- > 0)
        loopback_send(socket, "HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\nthe", 42);
    else // the store's own tag has 64 digits too, and is not a SHA-256 of the file
        loopback_reply(socket, "200 OK",
                       "ETag: "
                       "\"00000000000000000000000000000000000000000000000000000000000000aa\"\r\n",
                       WEIGHTS, strlen(WEIGHTS));
}

static Site site;
static Loopback *server, *store;
static char sha256[DIGEST_TEXT], *hub;

static const char PLAIN[] = "{\"rfilename\": \"config.json\"}, {\"rfilename\": \"vocab.txt\"}, "
                            "{\"rfilename\": \"../../evil.json\"}, {\"rfilename\": \"README.md\"}, "
                            "{\"rfilename\": \"tokenizer/../../x.json\"}, "
                            "{\"rfilename\": \"model.safetensors\"}";

static void set_site(void)
{
    site.files = PLAIN;
    site.commit = COMMIT;
    site.index = INDEX;
    site.broken = 0;
    snprintf(site.linked, sizeof site.linked, "%s", sha256);
    unsetenv("HF_TOKEN");
    unsetenv("HF_HUB_OFFLINE");
    setenv("HF_ENDPOINT", loopback_url(server), 1);
}

static Status fetch(const char *text, char **folder)
{
    HubId id;
    const Status s = hub_parse(text, &id);

    *folder = NULL;
    return s ? s : hub_fetch(&id, hub, NULL, &QUICK, NULL, folder);
}

static bool says(const char *part)
{
    const bool good = strstr(status_text(), part) != NULL;

    if (!good)
        printf("\"%s\" does not say \"%s\"\n", status_text(), part);
    return good;
}

static bool has(const char *folder, const char *name)
{
    char *path = file_path(folder, name);
    const bool there = file_exists(path);

    free(path);
    return there;
}

static void ids_are_read(void)
{
    static const char *const BAD[] = {"a",      "/a",     "a/",      "a/b/c", "../b",   "a/..",
                                      "a/b@",   "a/b@..", "a/b@x y", "a b/c", "a/b--c", "a/b@/x",
                                      "a/b@x/", "a/b?c",  "a/b@x?y", "@a/b",  "a/b@.x"};
    HubId id;

    CHECK_OK(hub_parse("google-bert/bert_base.v2", &id));
    CHECK_TEXT(id.owner, "google-bert");
    CHECK_TEXT(id.name, "bert_base.v2");
    CHECK_TEXT(id.revision, "main");
    CHECK_OK(hub_parse("a/b@refs/pr/1", &id));
    CHECK_TEXT(id.revision, "refs/pr/1");
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        if (!CHECK(hub_parse(BAD[i], &id) == E_CONFIG))
            printf("taken: %s\n", BAD[i]);
    CHECK(hub_parse("a/..", &id) == E_CONFIG);
    CHECK_TEXT(status_text(), "'a/..' is no hub id: expected owner/name or owner/name@revision");
}

static void a_model_is_fetched(void)
{
    char *folder = NULL, *found;
    HubId id;

    set_site();
    setenv("HF_TOKEN", " secret\n", 1);
    CHECK_OK(fetch("me/plain", &folder));
    CHECK(folder && has(folder, "config.json") && has(folder, "vocab.txt") &&
          has(folder, "model.safetensors"));
    CHECK(!has(folder, "README.md") && !has(folder, "../../evil.json"));
    CHECK_TEXT(site.token, "Bearer secret");
    CHECK_TEXT(site.store_token, ""); // the token stays with the hub
    CHECK_OK(hub_parse("me/plain", &id));
    found = cache_find_model(hub, &id); // and our own reader finds it
    CHECK_TEXT(found, folder);
    free(found);
    free(folder);
    CHECK_OK(fetch("me/branch@refs/pr/1", &folder));
    CHECK_TEXT(site.listing, "/api/models/me/branch/revision/refs%2Fpr%2F1?blobs=true");
    CHECK_OK(hub_parse("me/branch@refs/pr/1", &id));
    found = cache_find_model(hub, &id);
    CHECK_TEXT(found, folder);
    free(found);
    free(folder);
}

static void shards_are_fetched(void)
{
    char *folder = NULL;

    set_site();
    site.files = "{\"rfilename\": \"config.json\"}, {\"rfilename\": \"tokenizer.json\"}, "
                 "{\"rfilename\": \"model.safetensors.index.json\"}, "
                 "{\"rfilename\": \"pytorch_model.bin\"}";
    CHECK_OK(fetch("me/shards", &folder));
    CHECK(folder && has(folder, "part-1.safetensors") && has(folder, "part-2.safetensors"));
    free(folder);
    site.index = "{\"weight_map\": {\"a\": \"../part.safetensors\"}}";
    CHECK(fetch("me/hostile", &folder) == E_FORMAT);
    CHECK(says("tensor a lies in no plain file name"));
    site.index = "[[[[";
    CHECK(fetch("me/hostile", &folder) == E_FORMAT);
    CHECK(says("no weight_map in it"));
}

static void what_the_hub_states_is_checked(void)
{
    char *folder = NULL, entry[1024];
    HubId id;

    set_site();
    site.linked[0] = site.linked[0] == '0' ? '1' : '0';
    CHECK(fetch("me/wrong", &folder) == E_FORMAT);
    CHECK(says("/model.safetensors: the file that came has sha256 "));
    CHECK(says("the hub states"));
    CHECK_OK(hub_parse("me/wrong", &id));
    CHECK(cache_find_model(hub, &id) == NULL);
    set_site();
    snprintf(entry, sizeof entry,
             "{\"rfilename\": \"config.json\", \"size\": 6, \"blobId\": "
             "\"1111111111111111111111111111111111111111\"}, %s",
             strstr(PLAIN, "{\"rfilename\": \"vocab"));
    site.files = entry;
    CHECK(fetch("me/wrong", &folder) == E_FORMAT);
    CHECK(says("expected 1111111111111111111111111111111111111111"));
    set_site(); // a catalogue's digest binds besides
    CHECK(hub_fetch(&id, hub, COMMIT, &QUICK, NULL, &folder) == OK); // not 64 digits: not a digest
    free(folder);
    CHECK_OK(hub_parse("me/pinned", &id));
    CHECK(hub_fetch(&id, hub, "00000000000000000000000000000000000000000000000000000000000000aa",
                    &QUICK, NULL, &folder) == E_FORMAT);
    CHECK(says("expected 00000000000000000000000000000000000000000000000000000000000000aa"));
}

static void a_broken_transfer_resumes(void)
{
    char *folder = NULL;

    set_site();
    site.broken = 9;
    CHECK(fetch("me/broken", &folder) == E_IO);
    CHECK(says("after 2 attempts: "));
    set_site();
    CHECK_OK(fetch("me/broken", &folder));
    free(folder);
}

static void refusals_are_sentences(void)
{
    char *folder = NULL;

    set_site();
    CHECK(fetch("nobody/none", &folder) == E_IO);
    CHECK(says("nobody/none: the hub at http://127.0.0.1:"));
    CHECK(says("has no such model or revision 'main', or shows it only with HF_TOKEN (answer 404, "
               "asked with no token)"));
    setenv("HF_TOKEN", "secret", 1);
    CHECK(fetch("hidden/model", &folder) == E_IO);
    CHECK(says("(answer 401, asked with the token given)"));
    CHECK(fetch("gated/model", &folder) == E_IO);
    CHECK(says("accept its terms on its page and set HF_TOKEN"));
    setenv("HF_TOKEN", "bad\x01token", 1);
    CHECK(fetch("me/any", &folder) == E_CONFIG);
    CHECK_TEXT(status_text(), "HF_TOKEN: holds a byte that no token of the hub has");
    set_site();
    site.files = "{\"rfilename\": \"config.json\"}, {\"rfilename\": \"pytorch_model.bin\"}";
    CHECK(fetch("me/bin", &folder) == E_FORMAT);
    CHECK(says("me/bin: the hub has only pytorch_model.bin, which is not read here; fetch it with "
               "hf download me/bin --local-dir DIR, convert it with python3 -c \"import torch"));
    site.files = "{\"rfilename\": \"config.json\"}";
    CHECK(fetch("me/none", &folder) == E_FORMAT);
    CHECK_TEXT(status_text(), "me/none: the hub has no model.safetensors in it");
    site.commit = "../../../../etc";
    CHECK(fetch("me/none", &folder) == E_FORMAT);
    CHECK(says("the answer is not a model of the hub"));
}

static void offline_and_endpoint_are_honoured(void)
{
    char *folder = NULL;

    set_site();
    setenv("HF_HUB_OFFLINE", "TRUE", 1);
    const int before = loopback_count(server);
    CHECK(fetch("me/offline", &folder) == E_IO);
    CHECK_TEXT(status_text(), "me/offline: HF_HUB_OFFLINE is set, so the hub is not asked");
    CHECK(loopback_count(server) == before);
    setenv("HF_HUB_OFFLINE", "0", 1);
    CHECK_OK(fetch("me/offline", &folder));
    free(folder);
    setenv("HF_ENDPOINT", "gopher://x", 1);
    CHECK(fetch("me/other", &folder) == E_CONFIG);
    CHECK_TEXT(status_text(),
               "HF_ENDPOINT is 'gopher://x', expected http:// or https:// and a host");
}

/* A snapshot of links into blobs/, as huggingface_hub leaves it. */
static void their_cache_is_read(void)
{
    char top[700], *found;
    HubId id;

    snprintf(top, sizeof top, "%s/theirs", test_folder());
    CHECK_OK(hub_parse("me/cached", &id));
    CHECK(cache_find_model(top, &id) == NULL);
    char path[1024], target[1024];
    snprintf(path, sizeof path, "%s/models--me--cached/blobs", top);
    CHECK_OK(file_make_folder(path));
    snprintf(path, sizeof path, "%s/models--me--cached/refs", top);
    CHECK_OK(file_make_folder(path));
    snprintf(path, sizeof path, "%s/models--me--cached/snapshots/%s", top, COMMIT);
    CHECK_OK(file_make_folder(path));
    snprintf(path, sizeof path, "%s/models--me--cached/refs/main", top);
    CHECK_OK(file_write(path, COMMIT, 40));
    static const char *const NAMES[] = {"config.json", "model.safetensors", "vocab.txt"};
    for (int i = 0; i < 3; i++) {
        CHECK((found = cache_find_model(top, &id)) == NULL); // not complete yet
        snprintf(target, sizeof target, "../../blobs/%d", i);
        snprintf(path, sizeof path, "%s/models--me--cached/snapshots/%s/%s", top, COMMIT, NAMES[i]);
        CHECK(symlink(target, path) == 0);
        CHECK((found = cache_find_model(top, &id)) == NULL); // a link to nothing
        snprintf(path, sizeof path, "%s/models--me--cached/blobs/%d", top, i);
        CHECK_OK(file_write(path, "x", 1));
    }
    CHECK((found = cache_find_model(top, &id)) != NULL);
    free(found);
    snprintf(id.revision, sizeof id.revision, "%s", COMMIT);
    CHECK((found = cache_find_model(top, &id)) != NULL);
    free(found);
    snprintf(path, sizeof path, "%s/models--me--cached/refs/main", top);
    CHECK_OK(file_write(path, "../../../../etc", 15));
    snprintf(id.revision, sizeof id.revision, "main");
    CHECK(cache_find_model(top, &id) == NULL);
}

static void cache_folders_follow_the_environment(void)
{
    char *folder = NULL;

    setenv("HOME", "/home/x", 1);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HF_HOME");
    unsetenv("HF_HUB_CACHE");
    unsetenv("HUGGINGFACE_HUB_CACHE");
    unsetenv("CAIRN_CACHE");
    CHECK_OK(cache_folder(&folder));
    CHECK_TEXT(folder, "/home/x/.cache/cairn");
    free(folder);
    CHECK_OK(cache_huggingface_folder(&folder));
    CHECK_TEXT(folder, "/home/x/.cache/huggingface/hub");
    free(folder);
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    CHECK_OK(cache_hub_folder(&folder));
    CHECK_TEXT(folder, "/xdg/cairn/hub");
    free(folder);
    setenv("HF_HOME", "/hf", 1);
    CHECK_OK(cache_huggingface_folder(&folder));
    CHECK_TEXT(folder, "/hf/hub");
    free(folder);
    setenv("HF_HUB_CACHE", "/hubcache", 1);
    CHECK_OK(cache_huggingface_folder(&folder));
    CHECK_TEXT(folder, "/hubcache");
    free(folder);
    setenv("CAIRN_CACHE", "/ours", 1);
    CHECK_OK(cache_folder(&folder));
    CHECK_TEXT(folder, "/ours");
    free(folder);
}

int main(void)
{
    char *whole = file_path(test_folder(), "whole");

    setenv("no_proxy", "127.0.0.1", 1);
    setenv("HF_HOME", test_folder(), 1); // no token of the user's
    unsetenv("HF_TOKEN_PATH");
    unsetenv("TRANSFORMERS_OFFLINE");
    hub = file_path(test_folder(), "hub");
    server = loopback_open(answer, &site);
    store = loopback_open(answer_store, &site);
    snprintf(site.store, sizeof site.store, "%s", loopback_url(store));
    CHECK_OK(file_write(whole, WEIGHTS, strlen(WEIGHTS)));
    CHECK_OK(digest_file(whole, DIGEST_SHA256, sha256));
    RUN(ids_are_read);
    RUN(a_model_is_fetched);
    RUN(shards_are_fetched);
    RUN(what_the_hub_states_is_checked);
    RUN(a_broken_transfer_resumes);
    RUN(refusals_are_sentences);
    RUN(offline_and_endpoint_are_honoured);
    RUN(their_cache_is_read);
    RUN(cache_folders_follow_the_environment);
    loopback_close(server);
    loopback_close(store);
    free(whole);
    free(hub);
    return test_result();
}
