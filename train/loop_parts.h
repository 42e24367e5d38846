/* loop_parts.h - the inside of a Trainer, for loop*.c alone.
 *
 *   loop.c          runs updates, evaluates, decides when to stop
 *   loop_open.c     settings, parameters, arenas, graphs
 *   loop_keys.c     the keys of a recipe that the loop reads
 *   loop_cut.c      order of samples, updates, micro-batches
 *   loop_report.c   progress, metrics.jsonl, TensorBoard, results.json, the plan in words
 *   loop_state.c    run checkpoints
 */
#ifndef TRAIN_LOOP_PARTS_H
#define TRAIN_LOOP_PARTS_H

#include "runtime/tensorboard.h"
#include "train/loop.h"
#include "train/optimizer.h"
#include "train/schedule.h"

enum { RESULT_SLOTS = 2, RESULT_NUMBERS = 8 };

/* The next update's samples and how they are cut. */
typedef struct Cut {
    int32_t *order;       // of the epoch
    int64_t epoch, index; // next sample
    int32_t *sample;      // of this update, in order
    int64_t samples;
    int64_t *last; // micro-batch i ends before sample[last[i]]
    int64_t micros;
    int64_t targets, rows;
} Cut;

/* What the host remembers between updates; saved in checkpoints. */
typedef struct Position {
    int64_t update; // updates done
    int64_t epoch, index;
    int64_t tokens;  // rows trained on
    double loss_sum; // since the last line of metrics
    int64_t loss_count;
    double best;         // metric[0] of the best model
    int64_t best_update; // -1: nothing evaluated
    int64_t waited;      // evaluations without a better one
    int64_t evaluated;   // after this update, the last time
    bool finished;
} Position;

struct Trainer {
    Device *device;
    Params *params;
    const Task *task;
    const Config *config;
    TrainerHooks hooks;
    char *output_dir;

    int64_t batch_size, batch_tokens, micro_rows, accumulation;
    int64_t updates, eval_steps, save_steps, logging_steps, patience;
    double epochs;
    uint64_t seed;
    bool shuffle;
    Schedule schedule;
    Recompute recompute;
    bool detect_anomaly;

    BatchBuffers *batches;
    Graphs *graphs;
    Optimizer *optimizer;
    int first_kind, later_kind;
    Graph *update;               // the optimizer's
    Arena results;               // on the device: the loss
    size_t activations, planned; // bytes of that arena, of all together
    size_t room;                 // what the device has for them
    Stream *stream;
    Event *event[RESULT_SLOTS];
    float *slot[RESULT_SLOTS];         // on the host: loss, then the training scalars
    int64_t slot_update[RESULT_SLOTS]; // -1: empty

    Cut cut;
    Position at;
    BatchShape largest;   // of all micro-batches of the run
    int64_t per_epoch;    // updates
    int64_t start_update; // where this process began
    double last_save;     // seconds
    int64_t skipped;      // updates in a row that did not count

    Progress *progress;
    Metrics *metrics;
    Tensorboard *tensorboard;
    int64_t reported; // update of the last line
    double reported_time;
    int64_t reported_tokens;
    TaskScores scores;              // of the best model
    char *score_name[TASK_METRICS]; // of a resumed run's scores
};

/* loop_cut.c */
MUST_CHECK Status cut_open(Trainer *t);
void cut_close(Trainer *t);
/* Goes to a place in an epoch. */
void cut_seek(Trainer *t, int64_t epoch, int64_t index);
/* Takes the next update's samples and cuts them; moves on to the next epoch at the end of one. */
void cut_next(Trainer *t);
/* Cuts the whole run once: number of updates, of updates an epoch, largest micro-batch. */
MUST_CHECK Status cut_survey(Trainer *t);

/* loop_report.c */
double loop_seconds(void); // of a clock that only goes forward
MUST_CHECK Status report_open(Trainer *t);
void report_close(Trainer *t);
/* One update's loss and norm have arrived. */
MUST_CHECK Status report_update(Trainer *t, int64_t update, double loss, double norm, double rate);
MUST_CHECK Status report_scores(Trainer *t, const TaskScores *scores);
MUST_CHECK Status report_results(Trainer *t, char **results);
void report_note(Trainer *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* loop_state.c */
MUST_CHECK Status state_save(Trainer *t);
/* Looks into output_dir: a fresh run, one to resume, or an error. */
MUST_CHECK Status state_open(Trainer *t);

#endif
