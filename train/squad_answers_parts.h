/* squad_answers_parts.h - what squad_answers.c and squad_answers_write.c share. */
#ifndef TRAIN_SQUAD_ANSWERS_PARTS_H
#define TRAIN_SQUAD_ANSWERS_PARTS_H

#include "train/squad_answers.h"

enum { MOST_BEST = 1000 };

struct SquadPredictionSet {
    const Squad *data;
    const Tokenizer *tokenizer;
    const SquadFeatures *features;
    SquadAnswerSettings settings;
    SquadPrediction *predictions; // one for each question
    struct Peak *peaks;           // for each window n_best_size starts, then as many ends
    float *nulls;                 // for each window the start and end logit of [CLS]
    bool *added;
    bool finished;
};

#endif
