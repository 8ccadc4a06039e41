// Text from a model: one token after the other, with a key-value cache.
#ifndef SLT_GENERATE_H
#define SLT_GENERATE_H

#include <stdint.h>

#include "slt/checkpoint.h"
#include "slt/device.h"

struct slt_sampling {
    double temperature;  // 0: the most likely token
    int64_t top_k;       // keep the k most likely tokens; 0: all
    double top_p;        // keep the smallest set with this probability; 1: all
    uint64_t seed;       // token i is drawn with random word i of this seed
    slt_stop_flag *stop; // looked at between the layers of the model; may be NULL
};

struct slt_generator;

// Reads the model from reader (to its end, verified). capacity: the most tokens of prompt and
// answer.
SLT_API int slt_generator_create(struct slt_generator **generator, struct slt_device *device,
                                 struct slt_checkpoint_reader *reader, int64_t capacity,
                                 const struct slt_sampling *sampling,
                                 struct slt_error *err) SLT_CHECK_RESULT;
// Feeds count tokens (at least 1) without sampling: the prompt. After SLT_ERR_STOPPED some of them
// may have been fed.
SLT_API int slt_generator_feed(struct slt_generator *generator, const int32_t *ids, int64_t count,
                               struct slt_error *err) SLT_CHECK_RESULT;
// Samples the next token from what was fed so far and feeds it. SLT_ERR_RANGE if the capacity is
// used up.
SLT_API int slt_generator_next(struct slt_generator *generator, int32_t *id,
                               struct slt_error *err) SLT_CHECK_RESULT;
// The logits (vocab_size) after the last fed token, owned by the generator.
SLT_API const float *slt_generator_logits(const struct slt_generator *generator);
SLT_API void slt_generator_free(struct slt_generator *generator);

#endif
