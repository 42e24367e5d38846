/* info.c - `cairn info`: what a file of weights or a model folder holds. */
#include "cli/command.h"
#include "cli/listing.h"

static Status info_run(const Arguments *a)
{
    const char *path = arguments_at(a, 0);
    Listing l;
    Status s = listing_open(path, &l);

    if (s)
        return s;
    if (arguments_flag(a, "json"))
        s = listing_print_json(&l, path);
    else
        listing_print(&l, path);
    listing_close(&l);
    return s;
}

static const Option OPTIONS[] = {
    {"json", OPTION_FLAG, NULL, "one JSON object: format, tensors, metadata, config, tokenizer"},
    {0},
};

const Command info_command = {
    .name = "info",
    .summary = "tensors, configuration and metadata of a model or file",
    .synopsis = "FILE|DIR [--json]",
    .details =
        "FILE may be safetensors, an index of shards (model.safetensors.index.json), GGUF\n"
        "(versions 2 and 3) or HDF5 (a run's checkpoints, prepared data); DIR a model folder\n"
        "in Hugging Face form. Headers alone are read, and checked.",
    .example = "cairn info model/\n  cairn info run/checkpoints/step-100.h5 --json",
    .options = OPTIONS,
    .least = 1,
    .most = 1,
    .run = info_run,
};
