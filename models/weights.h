/* weights.h - parameters from and to safetensors files, under the names that others use.
 *
 * One parameter may be several tensors of a file: q, k and v are one matrix here and three there.
 * A model lists the pieces; a piece is a range of rows of a parameter and a name.
 */
#ifndef MODELS_WEIGHTS_H
#define MODELS_WEIGHTS_H

#include "runtime/params.h"
#include "runtime/status.h"

typedef struct WeightPiece {
    char name[120];    // in the file, in the form that is written
    int param;         // in Params
    int64_t row, rows; // of the parameter seen as rows; of a vector: elements
    bool head;         // may be missing from a pretrained encoder
} WeightPiece;

typedef struct WeightNames {
    const WeightPiece *piece;
    int count;
    const char *prefix;         // "bert.": optional when reading, written; or ""
    const char *const *ignored; // prefixes of tensors that this model does not use; ends with NULL
} WeightNames;

typedef struct WeightReport {
    int drawn;       // pieces of the head that the file lacks; the caller draws them
    char note[1000]; // what was ignored, what is to be drawn, in one or two sentences; or ""
} WeightReport;

/* Reads <folder>/model.safetensors, or the shards of model.safetensors.index.json, into p after
 * params_layout(). Old names are understood (LayerNorm gamma and beta; with and without prefix).
 * Errors: a missing piece that is not of a head, another shape, a dtype that is no float; a folder
 * with only pytorch_model.bin gets the command that converts it. */
MUST_CHECK Status weights_read(const char *folder, const WeightNames *names, Params *p,
                               WeightReport *report);

/* Writes <folder>/model.safetensors in F32, complete or absent. */
MUST_CHECK Status weights_write(const char *folder, const WeightNames *names, const Params *p);

#endif
