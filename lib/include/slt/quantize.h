// Block-wise quantization of weights: every block of consecutive values of a tensor is stored as
// codes of 8 or 4 bits and one F32, the largest magnitude of the block (absmax).
//
// int8: code = round(127 x / absmax), halves to even; |error| <= absmax / 254.
// dyn8: the nearest of 256 values of 8-bit optimizers' dynamic map (Dettmers et al., "8-bit
//       Optimizers via Block-wise Quantization", 2021); |error| <= absmax * 0.00704.
// nf4:  the nearest of the 16 quantiles of NormalFloat4 (Dettmers et al., "QLoRA", 2023), two codes
//       a byte, the first one in the low half; |error| <= absmax * 0.152.
#ifndef SLT_QUANTIZE_H
#define SLT_QUANTIZE_H

#include <stdint.h>

#include "slt/checkpoint.h"

// ---- Values ----

// The block that slt-quantize takes if none is given: 256, 64 for nf4.
SLT_API int64_t slt_quant_default_block(enum slt_quant_type type);
// The element type of the codes.
SLT_API enum slt_dtype slt_quant_dtype(enum slt_quant_type type);
// The bytes that count codes need, and the number of blocks, of which the last may be short.
SLT_API int64_t slt_quant_bytes(const struct slt_quantization *how, int64_t count);
SLT_API int64_t slt_quant_blocks(const struct slt_quantization *how, int64_t count);

// codes (slt_quant_bytes), absmax (slt_quant_blocks), values (count). A block of zeros gets absmax
// 0. threads: 0 for all; the result does not depend on it. Returns -1, or the index of a value that
// is not finite: then codes and absmax are undefined.
SLT_API int64_t slt_quantize(void *codes, float *absmax, const struct slt_quantization *how,
                             const float *values, int64_t count, int threads) SLT_CHECK_RESULT;
// values (count) from codes and absmax.
SLT_API void slt_dequantize(float *values, const struct slt_quantization *how, const void *codes,
                            const float *absmax, int64_t count, int threads);

// ---- Checkpoints ----

// What quantizing did to a tensor, or to all of them.
struct slt_quant_error {
    int64_t values;
    double square, error_square; // sums over x and over x - its stored value
    double max_error;            // the largest magnitude of a difference
};

// The root of error_square / square: 0 for a tensor of zeros.
SLT_API double slt_quant_rms_error(const struct slt_quant_error *error);

struct slt_quantize_run {
    struct slt_quantization how; // SLT_QUANT_NONE: dequantize
    const char *tool;            // of the provenance line to add; NULL: none
    int threads;                 // 0: all
    slt_stop_flag *stop;
    // Called after each quantized tensor if not NULL; an error it returns ends the run.
    int (*on_tensor)(void *user, const char *name, const struct slt_quant_error *error,
                     struct slt_error *err);
    void *user;
};

// Copies the model in reader to out, which the caller still owns and publishes, with its weights
// quantized, or back in F32. Norms stay F32, and so does a tensor without values; optimizer state
// is left out. Holds the codes of one tensor in memory. SLT_ERR_RANGE if the input is quantized
// already, or is not and run->how.type is SLT_QUANT_NONE; SLT_ERR_NUMERIC names a tensor with a
// value that is not finite.
SLT_API int slt_checkpoint_quantize(struct slt_output *out, struct slt_checkpoint_reader *reader,
                                    const struct slt_quantize_run *run,
                                    struct slt_error *err) SLT_CHECK_RESULT;

#endif
