// Trainers for tests and benchmarks.
#ifndef SLT_TESTS_TRAINING_H
#define SLT_TESTS_TRAINING_H

#include "train/trainer.h"

// A trainer with its memory, from options that need not be resolved yet.
static inline int make_trainer(struct slt_trainer **trainer, const struct slt_device *device,
                               const struct slt_config *config, struct slt_tokens *tokens,
                               const struct slt_train_options *options, struct slt_error *err)
{
    struct slt_train_options o = *options;
    int rc = slt_train_resolve(&o, err);
    if (rc == 0)
        rc = slt_trainer_prepare(trainer, device, config, &o, NULL, SLT_F32, err);
    if (rc == 0 && (rc = slt_trainer_allocate(*trainer, tokens, NULL, err)) != 0)
        slt_trainer_free(*trainer);
    return rc;
}

#endif
