// Evaluation of a model that is already in memory.
#ifndef SLT_MODEL_EVALUATE_H
#define SLT_MODEL_EVALUATE_H

#include "model/model.h"
#include "slt/evaluate.h"

// tokens from their current position; leaves the model resized to the last batch.
int slt_evaluate_model(struct slt_eval_result *result, struct slt_model *model,
                       struct slt_tokens *tokens, const struct slt_eval_options *options,
                       struct slt_error *err) SLT_CHECK_RESULT;

// Whether a token file belongs to a checkpoint: vocabulary and, where both are known, tokenizer
// digest.
int slt_tokens_match(const struct slt_tokens *tokens, const struct slt_checkpoint_reader *reader,
                     struct slt_error *err) SLT_CHECK_RESULT;

#endif
