/* convert.c - `cairn convert`: weights from one form into another. */
#include "cli/command.h"
#include "cli/convert_tensors.h"
#include "cli/signals.h"

#include "models/config_json.h"
#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/pickle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PART_LIMIT = 256 << 20 };

/* What of a model folder goes along beside its weights. */
static const char *const COMPANIONS[] = {
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "README.md",
    "generation_config.json",
    "chat_template.jinja",
    NULL,
};

static bool ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);

    return a >= b && !strcmp(text + a - b, end);
}

static Status explain_pickle(const char *path)
{
    const char *slash = strrchr(path, '/');
    char to[2048], command[PICKLE_COMMAND];

    snprintf(to, sizeof to, "%.*s/model.safetensors", slash ? (int)(slash - path) : 1,
             slash ? path : ".");
    pickle_command(path, to, command, sizeof command);
    return fail(E_FORMAT, "%s: PyTorch's own format is not read here; this converts it: %s", path,
                command);
}

/* A folder or file that only torch can read gets the command that helps. */
static Status check_input(const char *in)
{
    Status s = OK;

    if (ends_with(in, ".bin") || ends_with(in, ".pt") || ends_with(in, ".pth"))
        return explain_pickle(in);
    if (!file_exists(in))
        return fail(E_IO, "%s: %s", in, strerror(ENOENT));
    if (!file_is_folder(in))
        return OK;
    char *weights = file_path(in, "model.safetensors"),
         *pickle = file_path(in, "pytorch_model.bin");
    char *index = file_path(in, "model.safetensors.index.json");
    if (!weights || !pickle || !index)
        s = fail(E_MEMORY, "%s: no memory to look into it", in);
    else if (!file_exists(weights) && !file_exists(index) && file_exists(pickle))
        s = explain_pickle(pickle);
    free(weights), free(pickle), free(index);
    return s;
}

static Status dtype_read(const Arguments *a, ConvertOptions *o)
{
    static const char *const NAMES[] = {"f32", "bf16", "f16"};
    static const StoredDtype DTYPES[] = {STORED_F32, STORED_BF16, STORED_F16};
    const char *name = arguments_text(a, "dtype", NULL);

    o->keep = !name;
    for (int i = 0; name && i < 3; i++)
        if (!strcmp(name, NAMES[i])) {
            o->dtype = DTYPES[i];
            return OK;
        }
    return name ? fail(E_USAGE, "--dtype is f32, bf16 or f16, not '%s'", name) : OK;
}

/* config.json says what the weights are stored in. */
static Status config_write(const char *from, const char *to, const ConvertOptions *o)
{
    json_t *config = NULL;
    Status s = json_file_read(from, PART_LIMIT, &config);

    if (!s)
        s = config_json_set_dtype(config, o->dtype);
    if (!s)
        s = json_file_write(to, config);
    json_decref(config);
    return s;
}

static Status file_copy(const char *from, const char *to)
{
    char *text = NULL;
    size_t bytes = 0;
    Status s = file_read(from, PART_LIMIT, &text, &bytes);

    if (!s)
        s = file_write(to, text, bytes);
    free(text);
    return s;
}

static Status companion_copy(const char *in, const char *out, const char *name,
                             const ConvertOptions *o)
{
    char *from = file_path(in, name), *to = file_path(out, name);
    Status s = OK;

    if (!from || !to)
        s = fail(E_MEMORY, "%s: no memory to write it", out);
    else if (file_exists(from))
        s = !o->keep && !strcmp(name, "config.json") ? config_write(from, to, o)
                                                     : file_copy(from, to);
    free(from), free(to);
    return s;
}

/* The folder of a model, of its index, or of its weights. */
static char *folder_of(const char *in)
{
    if (file_is_folder(in))
        return strdup(in);
    const char *slash = strrchr(in, '/');
    return slash ? strndup(in, slash > in ? (size_t)(slash - in) : 1) : strdup(".");
}

static void folder_remove(const char *folder)
{
    for (int i = 0; COMPANIONS[i]; i++) {
        char *path = file_path(folder, COMPANIONS[i]);
        if (path)
            unlink(path);
        free(path);
    }
    char *weights = file_path(folder, "model.safetensors");
    if (weights)
        unlink(weights);
    free(weights);
    rmdir(folder);
}

/* Made under another name and renamed, so that the folder too is complete or absent. */
static Status convert_folder(const char *in, const char *out, ConvertOptions o, int *count)
{
    char *folder = folder_of(in), *part = NULL, *weights = NULL;
    Status s = OK;

    if (asprintf(&part, "%s.part-%ld", out, (long)getpid()) < 0)
        part = NULL;
    if (!folder || !part || !(weights = file_path(part, "model.safetensors")))
        s = fail(E_MEMORY, "%s: no memory to write it", out);
    if (!s)
        s = file_make_folder(part);
    if (!s) {
        s = convert_tensors(in, weights, o, count);
        for (int i = 0; COMPANIONS[i] && !s; i++)
            s = companion_copy(folder, part, COMPANIONS[i], &o);
        if (!s && rename(part, out) != 0)
            s = fail(E_IO, "%s: cannot be written: %s", out, strerror(errno));
        if (s)
            folder_remove(part);
    }
    free(folder), free(part), free(weights);
    return s;
}

/* "model/" is the folder "model": the slash would stand amid the temporary name. */
static char *without_slashes(const char *path)
{
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    return strndup(path, length);
}

static Status convert_to(const Arguments *a, const char *in, const char *out, bool folder)
{
    ConvertOptions o = {.prefix = arguments_text(a, "prefix", ""), .stop = signals_flag()};
    int count = 0;
    Status s = dtype_read(a, &o);

    signals_catch();

    if (!s)
        s = check_input(in);
    if (!s && file_exists(out) && (folder || !arguments_flag(a, "overwrite")))
        s = fail(E_IO, "%s: exists already%s", out, folder ? "" : "; --overwrite replaces it");
    if (!s)
        s = folder ? convert_folder(in, out, o, &count) : convert_tensors(in, out, o, &count);
    if (!s)
        fprintf(stderr, "%d tensors written\n", count);
    if (!s)
        printf("%s\n", out);
    return s;
}

static Status convert_run(const Arguments *a)
{
    const char *given = arguments_at(a, 1);
    const bool folder = !ends_with(given, ".safetensors") && !ends_with(given, ".h5");
    char *out = without_slashes(given);
    Status s = out ? convert_to(a, arguments_at(a, 0), out, folder)
                   : fail(E_MEMORY, "%s: no memory to write it", given);

    free(out);
    return s;
}

static const Option OPTIONS[] = {
    {"dtype", OPTION_TEXT, "f32|bf16|f16", "what floating tensors become; as they are by default"},
    {"prefix", OPTION_TEXT, "TEXT", "takes only tensors so named, and drops it from their names"},
    {"overwrite", OPTION_FLAG, NULL, "replaces OUT where it is a file that exists"},
    {0},
};

const Command convert_command = {
    .name = "convert",
    .summary = "weights from one file format into another",
    .synopsis = "IN OUT [--dtype f32|bf16|f16] [--prefix TEXT] [--overwrite]",
    .details =
        "IN is a model folder in Hugging Face form (one file or shards), a .safetensors file, an\n"
        "index of shards (model.safetensors.index.json), or an HDF5 file such as a run's\n"
        "checkpoint. OUT is\n"
        "  NAME.safetensors  all tensors in one file\n"
        "  NAME.h5           the same in HDF5, a dataset each\n"
        "  any other name    a model folder that must not exist: model.safetensors with the\n"
        "                    configuration, tokenizer files and README that lie beside IN\n"
        "Names and shapes stay as they are (\"bert.\" too), and metadata goes along. A "
        "checkpoint's\n"
        "arrays keep the names that cairn info lists; the run's model/ holds them in Hugging Face\n"
        "form. pytorch_model.bin is not read: the error names the command that converts it.",
    .example = "cairn convert model/ model-bf16/ --dtype bf16\n"
               "  cairn convert model/model.safetensors.index.json model.safetensors",
    .options = OPTIONS,
    .least = 2,
    .most = 2,
    .run = convert_run,
};
