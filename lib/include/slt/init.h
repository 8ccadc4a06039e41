// New checkpoints: every tensor from the seed, streamed out one after the other.
//
// Embedding, head and full-rank linears: normal(0, initializer_range). Norms: 1. A and the values
// of S: uniform(+-1/sqrt(in)). B: zeros for sltrain and relora, uniform(+-1/sqrt(r)) for lowrank
// (zeros with lora_b_zero). Element i of a tensor is a function of (seed, tensor name, i) alone.
#ifndef SLT_INIT_H
#define SLT_INIT_H

#include "slt/checkpoint.h"
#include "slt/config.h"
#include "slt/stream.h"
#include "slt/tokenizer.h"

// Writes a checkpoint of config, whose support_crc is computed here, to out, which the caller still
// owns and publishes. tokenizer may be NULL. provenance: JSON lines or NULL. from (may be NULL;
// owned by the caller) is a trained full-rank checkpoint of the same sizes, of which every tensor
// is taken that both have: ReLoRA's warm start. Its provenance goes before the given one, unless
// that is NULL.
SLT_API int slt_init_write(struct slt_output *out, const struct slt_config *config,
                           const struct slt_tokenizer *tokenizer,
                           struct slt_checkpoint_reader *from, const char *provenance,
                           slt_stop_flag *stop, struct slt_error *err);

#endif
