// How the tensors of a quantized model lie in its file (slt-checkpoint(5)), and their values while
// they are read. A quantized tensor T is two stored ones, T.absmax and then T with the codes, so
// that a reader needs to hold no more than the scales.
#ifndef SLT_FILES_QUANTIZED_H
#define SLT_FILES_QUANTIZED_H

#include "files/archive.h"
#include "slt/checkpoint.h"

#define SLT_QUANT_CHUNK ((int64_t)1 << 18) // values that are coded or decoded at once, at most

// The parameters of a configuration, by name.
struct slt_param_names {
    struct slt_param_info *list; // sorted by name
    size_t count;
};

int slt_param_names_make(struct slt_param_names *names, const struct slt_config *config,
                         struct slt_error *err) SLT_CHECK_RESULT;
// NULL if the configuration has no such parameter.
const struct slt_param_info *slt_param_names_find(const struct slt_param_names *names,
                                                  const char *name);
void slt_param_names_free(struct slt_param_names *names);

// Norms stay F32, and so does a parameter without values.
bool slt_param_is_quantized(const struct slt_param_info *param);
// The two tensors that stand for a parameter: absmax and codes.
void slt_quantized_tensors(struct slt_tensor_info tensors[2], const struct slt_quantization *how,
                           const struct slt_param_info *param);

// Chunks of this many values begin with a block and with a whole byte of codes.
int64_t slt_quant_chunk(const struct slt_quantization *how);

// The tensors that stored ones stand for: tensor i is stored[first[i]], or comes from that one and
// the next if their names differ. The caller frees *tensors and *first.
int slt_quantized_view(struct slt_tensor_info **tensors, size_t **first, size_t *count,
                       const char *file, const struct slt_config *config,
                       const struct slt_tensor_info *stored, size_t stored_count,
                       struct slt_error *err) SLT_CHECK_RESULT;

// The values of one quantized tensor after the other. Starts as {0}.
struct slt_dequantizer {
    struct slt_quantization how;
    int threads; // that decode, 0: all
    float *absmax, *values;
    unsigned char *codes;
    int64_t count, decoded; // values of the tensor, and how many of them values has seen
    size_t taken, filled;   // bytes of values: given out, there
};

// The archive is at a tensor's absmax, which is read.
int slt_dequantizer_start(struct slt_dequantizer *d, const struct slt_quantization *how,
                          struct slt_archive_in *archive, const char *file,
                          const struct slt_tensor_info *absmax, int64_t count,
                          struct slt_error *err) SLT_CHECK_RESULT;
// Gives out the next bytes of the values; *left counts the bytes of codes not read yet.
int slt_dequantizer_read(struct slt_dequantizer *d, struct slt_archive_in *archive, void *data,
                         size_t bytes, uint64_t *left, struct slt_error *err) SLT_CHECK_RESULT;
void slt_dequantizer_free(struct slt_dequantizer *d);

#endif
