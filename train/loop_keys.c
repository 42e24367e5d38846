/* loop_keys.c - the keys of a recipe that the training loop reads. */
#include "train/loop_parts.h"

const Key loop_keys[] = {
    {"output_dir", KEY_TEXT, NULL, .flags = KEY_REQUIRED,
     .help = "Folder for the model, checkpoints and metrics; must not hold another run."},
    {"resume", KEY_BOOL, "false", .flags = KEY_ONCE,
     .help = "Go on from the last checkpoint in output_dir; recipe.yaml never keeps it."},
    {"seed", KEY_INT, "42", .least = 0, .most = 9e15, .flags = KEY_ALTERS_BITS,
     .help = "Seed of the order of samples, of dropout and of first values."},
    {"shuffle", KEY_BOOL, "true", .flags = KEY_ALTERS_BITS,
     .help = "Samples in a random order, another in each epoch."},
    {"batch_size", KEY_INT, "12", .least = 1, .most = 1e6, .excludes = "batch_tokens",
     .flags = KEY_ALTERS_BITS, .help = "Sequences in one update."},
    {"batch_tokens", KEY_INT, NULL, .least = 1, .most = 1e9, .excludes = "batch_size",
     .flags = KEY_ALTERS_BITS, .help = "Rows (tokens) in one update, instead of batch_size."},
    {"micro_batch_tokens", KEY_INT, "2048", .least = 1, .most = 1e9, .flags = KEY_ALTERS_BITS,
     .help = "Most rows computed at once; a longer sequence goes alone."},
    {"gradient_accumulation_steps", KEY_INT, "1", .least = 1, .most = 1e6, .flags = KEY_ALTERS_BITS,
     .help =
         "Cut each update into at least so many micro-batches; changes memory, not the result."},
    {"epochs", KEY_REAL, "2", .least = 0, .most = 1e6, .excludes = "max_steps",
     .flags = KEY_ABOVE | KEY_ALTERS_BITS, .help = "Passes over the training data."},
    {"max_steps", KEY_INT, NULL, .least = 1, .most = 1e12, .excludes = "epochs",
     .flags = KEY_ALTERS_BITS, .help = "Updates in all, instead of epochs."},
    {"learning_rate", KEY_REAL, "3e-5", .least = 0, .most = 10, .flags = KEY_ALTERS_BITS,
     .help = "Peak learning rate."},
    {"lr_scheduler", KEY_CHOICE, "linear",
     .choices = "constant|linear|cosine|inverse_sqrt|wsd|google", .flags = KEY_ALTERS_BITS,
     .help = "Learning rate after warm-up; google is linear with the jump of BERT's original."},
    {"warmup_steps", KEY_INT, NULL, .least = 0, .most = 1e12, .excludes = "warmup_ratio",
     .flags = KEY_ALTERS_BITS, .help = "Updates over which the learning rate rises from 0."},
    {"warmup_ratio", KEY_REAL, "0", .least = 0, .most = 1, .excludes = "warmup_steps",
     .flags = KEY_ALTERS_BITS,
     .help = "The same as a share of all updates, rounded up; by lr_scheduler google down."},
    {"min_lr_ratio", KEY_REAL, "0", .least = 0, .most = 1, .flags = KEY_ALTERS_BITS,
     .help = "Where cosine and wsd end, as a share of learning_rate."},
    {"decay_ratio", KEY_REAL, "0.2", .least = 0, .most = 1, .flags = KEY_ALTERS_BITS,
     .help = "Share of all updates over which wsd falls."},
    {"optimizer", KEY_CHOICE, "adamw", .choices = "adamw|bert_adam", .flags = KEY_ALTERS_BITS,
     .help = "bert_adam is BERT's original: adamw without bias correction, epsilon 1e-6."},
    {"adam_beta1", KEY_REAL, "0.9", .least = 0, .most = 1, .flags = KEY_BELOW | KEY_ALTERS_BITS,
     .help = "Decay of the first moment."},
    {"adam_beta2", KEY_REAL, "0.999", .least = 0, .most = 1, .flags = KEY_BELOW | KEY_ALTERS_BITS,
     .help = "Decay of the second moment."},
    {"adam_epsilon", KEY_REAL, NULL, .least = 0, .most = 1, .flags = KEY_ABOVE | KEY_ALTERS_BITS,
     .help = "Added to the root of the second moment; unset: 1e-8, for bert_adam 1e-6."},
    {"bias_correction", KEY_BOOL, NULL, .flags = KEY_ALTERS_BITS,
     .help = "Of both moments; unset: true, for bert_adam false."},
    {"weight_decay", KEY_REAL, "0", .least = 0, .most = 10, .flags = KEY_ALTERS_BITS,
     .help = "Decoupled weight decay."},
    {"weight_decay_exclude", KEY_CHOICE, "bias-norm", .choices = "bias-norm|vectors|none",
     .flags = KEY_ALTERS_BITS, .help = "What is not decayed; embeddings are, unless excluded."},
    {"max_grad_norm", KEY_REAL, "1", .least = 0, .most = 1e9, .flags = KEY_ALTERS_BITS,
     .help = "Clip the gradient to this global norm; 0: do not."},
    {"eval_steps", KEY_INT, NULL, .least = 1, .most = 1e12,
     .help = "Evaluate every so many updates; unset: at the end of each epoch."},
    {"eval_on_start", KEY_BOOL, "false", .help = "Evaluate before the first update too."},
    {"early_stopping_patience", KEY_INT, NULL, .least = 1, .most = 1e6, .flags = KEY_ALTERS_BITS,
     .help = "Stop after so many evaluations without a better one."},
    {"save_steps", KEY_INT, NULL, .least = 1, .most = 1e12,
     .help = "Checkpoint every so many updates; unset: every 5 minutes."},
    {"save_total_limit", KEY_INT, "2", .least = 1, .most = 1e6, .help = "Checkpoints to keep."},
    {"logging_steps", KEY_INT, "50", .least = 1, .most = 1e9,
     .help = "A line of metrics every so many updates."},
    {"device", KEY_TEXT, "auto",
     .help = "cpu, cuda, cuda:N, or auto: the first GPU, else the CPU."},
    {"dtype", KEY_CHOICE, "f32", .choices = "f32|bf16|f16|tf32", .flags = KEY_ALTERS_BITS,
     .help = "Storage of matrices and activations; arithmetic and masters are F32. tf32: stored as "
             "F32, a GPU's dense products in TF32."},
    {"kernel.attention", KEY_TEXT, "auto", .flags = KEY_ALTERS_BITS,
     .help = "Forces a kernel that `cairn bench attention --list` names; auto: Cairn chooses."},
    {"threads", KEY_INT, "0", .least = 0, .most = 1024,
     .help = "Of the host; 0: all processors this process may use."},
    {"recompute", KEY_CHOICE, "none", .choices = "none|cheap|block",
     .help = "What backward computes again instead of keeping; the same bits, less memory."},
    {"detect_anomaly", KEY_BOOL, "false",
     .help = "Look at every number that training makes and end at the first that is not finite, "
             "naming its instruction; slow, wants more memory. In f16 an overflow ends it too."},
    {0}};

Status loop_resolve(Config *c)
{
    const bool original = config_choice(c, "optimizer") == 1;
    Status s = OK;

    if (!config_is_set(c, "adam_epsilon"))
        s = config_set(c, "adam_epsilon", original ? "1e-6" : "1e-8", "by optimizer");
    if (!s && !config_is_set(c, "bias_correction"))
        s = config_set(c, "bias_correction", original ? "false" : "true", "by optimizer");
    return s;
}
