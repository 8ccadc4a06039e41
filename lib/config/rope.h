// The frequencies of rotary positions, plain and scaled.
#ifndef SLT_CONFIG_ROPE_H
#define SLT_CONFIG_ROPE_H

#include "slt/config.h"

// "default", "linear", "llama3".
const char *slt_rope_name(enum slt_rope_type type);
// false if there is none of this name.
bool slt_rope_find(enum slt_rope_type *type, const char *name);
// SLT_ERR_RANGE with a sentence that names the key.
int slt_rope_check(const struct slt_rope_scaling *scaling, struct slt_error *err) SLT_CHECK_RESULT;

// The angle, in radians, by which elements i and i + head_dim/2 of a head turn from one position to
// the next, i < head_dim/2. Plain it is f = theta^(-2i/head_dim) (Su et al., arXiv 2104.09864), and
// scaled
//  - linear: f / factor (Chen et al., arXiv 2306.15595)
//  - llama3, as Llama 3.1 has it (transformers, modeling_rope_utils.py), with the wavelength
//    w = 2 pi / f and L = original_max_position_embeddings:
//        f            where w < L / high_freq_factor
//        f / factor   where w > L / low_freq_factor
//        (1 - s) f / factor + s f   between them,
//        s = (L / w - low_freq_factor) / (high_freq_factor - low_freq_factor)
double slt_rope_frequency(const struct slt_config *config, int64_t i);
// The plain frequency.
double slt_rope_plain_frequency(const struct slt_config *config, int64_t i);

#endif
