/* squad_save.c - writes a fine-tuned model as others expect it: a folder that transformers opens. */
#include "train/squad_model.h"

#include "models/config_json.h"
#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/version.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES = 1 << 20 };

/* The encoder's own config.json with another head. What it says of an older head's labels goes:
 * transformers makes qa_outputs with as many rows as there are labels, and two without a word. */
static Status save_config(const char *folder, const char *source)
{
    static const char *const OLDER[] = {"_name_or_path", "id2label", "label2id", "num_labels",
                                        "_num_labels"};
    char *from = file_path(source, "config.json"), *to = file_path(folder, "config.json");
    json_t *o = NULL;
    Status s = from && to ? json_file_read(from, CONFIG_BYTES, &o)
                          : fail(E_MEMORY, "no memory for config.json");

    if (!s &&
        json_object_set_new(o, "architectures", json_pack("[s]", "BertForQuestionAnswering")) != 0)
        s = fail(E_MEMORY, "no memory for config.json");
    if (!s)
        s = config_json_set_dtype(o, STORED_F32);
    for (size_t i = 0; !s && i < sizeof OLDER / sizeof *OLDER; i++)
        json_object_del(o, OLDER[i]);
    if (!s)
        s = json_file_write(to, o);
    json_decref(o);
    free(from);
    free(to);
    return s;
}

static Status save_readme(const char *folder, const char *base_model, const TaskScores *scores)
{
    char *path = file_path(folder, "README.md");
    FileWriter w;
    Status s = path ? file_open(&w, path) : fail(E_MEMORY, "no memory for README.md");

    if (!s) {
        fprintf(
            w.stream,
            "# A BERT that answers questions about a passage\n\nFine-tuned by cairn %s from `%s`.\n"
            "recipe.yaml one folder up repeats the training:\n\n    cairn train recipe.yaml "
            "output_dir=ANOTHER\n\nIt opens in Cairn and in transformers:\n\n    cairn ask . "
            "--passage FILE --question TEXT\n    "
            "AutoModelForQuestionAnswering.from_pretrained(\".\")\n",
            version_text(), base_model);
        if (scores)
            fprintf(w.stream, "\n| metric | value |\n| --- | --- |\n");
        for (int i = 0; scores && i < scores->count; i++)
            fprintf(w.stream, "| %s | %.6g |\n", scores->metric[i].name, scores->metric[i].value);
        s = file_commit(&w);
    }
    free(path);
    return s;
}

Status squad_model_save(const char *folder, const char *source, const Bert *m, const Params *p,
                        const Tokenizer *t, const SquadOptions *o, const TaskScores *scores,
                        const char *base_model)
{
    Status s = weights_write(folder, bert_names(m), p);

    if (!s)
        s = save_config(folder, source);
    if (!s)
        s = tokenizer_save(t, folder);
    if (!s)
        s = squad_options_write(folder, o);
    return s ? s : save_readme(folder, base_model, scores);
}
