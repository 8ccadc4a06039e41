// The options of training inside the library: what they mean for a model, and their record.
#ifndef SLT_TRAIN_OPTIONS_H
#define SLT_TRAIN_OPTIONS_H

#include <jansson.h>

#include "optim/optimizer.h"
#include "slt/train.h"

// The row with this key in trainer.json, or NULL.
const struct slt_train_option *slt_train_option_of_key(const char *key);
// All options that change numbers, by their keys.
json_t *slt_train_options_object(const struct slt_train_options *options);

// Bits 1 << role of what is trained; 0: everything.
unsigned slt_trained_roles(enum slt_train_only only);
// Whether a model can be trained with these options; SLT_ERR_RANGE (of the options) or
// SLT_ERR_FORMAT (of the model) with the reason.
int slt_train_check_model(const struct slt_train_options *options, const struct slt_config *config,
                          struct slt_error *err) SLT_CHECK_RESULT;

#endif
