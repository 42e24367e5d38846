/* config_names.c - what other tools call our keys, so that a recipe from elsewhere is answered
 * with the key that settles the same matter, or with why there is none, instead of "unknown". */
#include "runtime/config_value.h"

#include <string.h>

typedef struct ForeignName {
    const char *theirs, *ours, *tool;
} ForeignName;

static const char trainer[] = "transformers' Trainer", run_qa[] = "transformers' run_qa";
static const char google[] = "Google's run_squad", tune[] = "torchtune", axolotl[] = "axolotl";

static const ForeignName names[] = {
    {"per_device_train_batch_size", "batch_size", trainer},
    {"per_device_eval_batch_size", "micro_batch_tokens", trainer},
    {"eval_batch_size", "micro_batch_tokens", "other tools"},
    {"predict_batch_size", "micro_batch_tokens", google},
    {"per_gpu_train_batch_size", "batch_size", trainer},
    {"train_batch_size", "batch_size", google},
    {"micro_batch_size", "micro_batch_tokens", axolotl},
    {"max_tokens_per_mb", "micro_batch_tokens", tune},
    {"gradient_accumulation", "gradient_accumulation_steps", "other tools"},
    {"accumulation_steps", "gradient_accumulation_steps", "other tools"},
    {"num_train_epochs", "epochs", trainer},
    {"num_epochs", "epochs", axolotl},
    {"max_epochs", "epochs", "PyTorch Lightning"},
    {"max_train_steps", "max_steps", "accelerate's examples"},
    {"max_steps_per_epoch", "max_steps", tune},
    {"num_train_steps", "max_steps", google},
    {"lr", "learning_rate", "PyTorch"},
    {"optimizer.lr", "learning_rate", tune},
    {"optimizer.learning_rate", "learning_rate", "other tools"},
    {"lr_scheduler_type", "lr_scheduler", trainer},
    {"lr_scheduler._component_", "lr_scheduler", tune},
    {"scheduler", "lr_scheduler", "other tools"},
    {"num_warmup_steps", "warmup_steps", "transformers' schedules"},
    {"lr_warmup_steps", "warmup_steps", "diffusers"},
    {"lr_scheduler.num_warmup_steps", "warmup_steps", tune},
    {"warmup_proportion", "warmup_ratio", google},
    {"optim", "optimizer", trainer},
    {"optimizer._component_", "optimizer", tune},
    {"optimizer.betas", "adam_beta1", tune},
    {"optimizer.eps", "adam_epsilon", tune},
    {"adam_eps", "adam_epsilon", "other tools"},
    {"optimizer.weight_decay", "weight_decay", tune},
    {"weight_decay_rate", "weight_decay", google},
    {"correct_bias", "bias_correction", "transformers' old AdamW"},
    {"clip_grad_norm", "max_grad_norm", tune},
    {"gradient_clip_val", "max_grad_norm", "PyTorch Lightning"},
    {"model_name_or_path", "model", trainer},
    {"pretrained_model_name_or_path", "model", "transformers"},
    {"base_model", "model", axolotl},
    {"init_checkpoint", "model", google},
    {"bert_config_file", "model", google},
    {"checkpointer.checkpoint_dir", "model", tune},
    {"dataset_name", "train_data", run_qa},
    {"train_file", "train_data", run_qa},
    {"train_dataset", "train_data", trainer},
    {"validation_file", "validation_data", run_qa},
    {"eval_dataset", "validation_data", trainer},
    {"predict_file", "validation_data", google},
    {"max_seq_len", "max_seq_length", tune},
    {"max_length", "max_seq_length", "transformers"},
    {"sequence_len", "max_seq_length", axolotl},
    {"tokenizer.max_seq_len", "max_seq_length", tune},
    {"stride", "doc_stride", "transformers' tokenizers"},
    {"version_2", "version_2_with_negative", "cairn predict"},
    {"null_score_diff", "null_score_diff_threshold", "other tools"},
    {"n_best", "n_best_size", "other tools"},
    {"max_eval_samples", "max_validation_samples", run_qa},
    {"max_predict_samples", "max_validation_samples", run_qa},
    {"evaluation_steps", "eval_steps", "other tools"},
    {"evals_per_epoch", "eval_steps", axolotl},
    {"save_checkpoints_steps", "save_steps", google},
    {"saves_per_epoch", "save_steps", axolotl},
    {"log_every_n_steps", "logging_steps", tune},
    {"logging_dir", "output_dir", trainer},
    {"metric_logger.log_dir", "output_dir", tune},
    {"early_stopping", "early_stopping_patience", "other tools"},
    {"random_seed", "seed", "other tools"},
    {"data_seed", "seed", trainer},
    {"no_cuda", "device", trainer},
    {"use_cpu", "device", trainer},
    {"bf16", "dtype", trainer},
    {"fp16", "dtype", trainer},
    {"tf32", "dtype", trainer},
    {"precision", "dtype", "PyTorch Lightning"},
    {"torch_dtype", "dtype", "transformers"},
    {"num_threads", "threads", "other tools"},
    {"gradient_checkpointing", "recompute", trainer},
    {"enable_activation_checkpointing", "recompute", tune},
    {"activation_checkpointing", "recompute", "other tools"},
    {"resume_from_checkpoint", "resume", trainer},
    {"do_eval", "validation_data", trainer},
};

/* What no key settles here. */
static const struct {
    const char *theirs, *tool, *advice;
} others[] = {
    {"do_train", trainer, "`cairn train` trains: leave it out"},
    {"do_predict", trainer, "`cairn predict` answers a file of questions: leave it out"},
    {"preprocessing_num_workers", run_qa, "one thread cuts the windows, once: leave it out"},
    {"overwrite_output_dir", trainer,
     "no run is overwritten here: name another output_dir, or remove that one"},
};

bool foreign_name(const char *theirs, ForeignKey *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].theirs, theirs)) {
            *out = (ForeignKey){.tool = names[i].tool, .ours = names[i].ours};
            return true;
        }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(others[i].theirs, theirs)) {
            *out = (ForeignKey){.tool = others[i].tool, .advice = others[i].advice};
            return true;
        }
    return false;
}
