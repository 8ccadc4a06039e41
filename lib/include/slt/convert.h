// Models of other programs: Hugging Face directories, and the layout of the published SLTrain code.
#ifndef SLT_CONVERT_H
#define SLT_CONVERT_H

#include <stdbool.h>

#include "slt/checkpoint.h"
#include "slt/stream.h"
#include "slt/tokenizer.h"

// How a model of another program becomes a checkpoint. All of it may be 0.
struct slt_convert_options {
    // What a directory does not say of itself, for models with factors; 0 where it is not given.
    double alpha, density;
    // What the checkpoint is given instead of the directory's own tokenizer (slt_tokenizer_open).
    // Ids of BOS, EOS and PAD that config.json lacks are those of the tokens which
    // tokenizer_config.json names, else the tokenizer's.
    const struct slt_tokenizer *tokenizer;
    const char *provenance; // JSON lines
    // Told a sentence about each thing that was taken but may not be meant: tensors that the
    // configuration does not ask for, which are left out, or that have other names; special tokens
    // without an id; files that disagree over the ends of texts or the spaces before them.
    void (*on_note)(void *user, const char *sentence);
    void *user;
    slt_stop_flag *stop;
};

// Reads a directory with config.json and safetensors (model.safetensors, or else the files
// that model.safetensors.index.json names) of type F32, F16, BF16 or F64 and writes it as a checkpoint
// to out, which the caller publishes. Parts that wrappers of PyTorch put into names (module.,
// _orig_mod.) are left out, and names of a model without its head are taken as well. Where linears
// have lora_A and lora_B instead of weight, it is a low-rank model, and with sparse_index and
// sparse_value as well (the published SLTrain code) a sparse plus low-rank one with an explicit
// support; alpha and density are then in config.json's "slt" object or in the options. What
// generation_config.json names as ends counts besides config.json's. Errors: SLT_ERR_FORMAT, also
// where the tokenizer has more tokens than the model has rows; SLT_ERR_RANGE where alpha or density
// is missing or does not fit.
SLT_API int slt_convert_import(struct slt_output *out, const char *directory,
                               const struct slt_convert_options *options,
                               struct slt_error *err) SLT_CHECK_RESULT;

// The same as an input, of which the bytes of the checkpoint are made as they are read. The
// tokenizer of the options must outlive it.
SLT_API int slt_convert_open(struct slt_input **in, const char *directory,
                             const struct slt_convert_options *options, struct slt_error *err)
    SLT_CHECK_RESULT;

// Whether a file is a model of llama2.c, by its magic number, or without one (version 0) by sizes
// in its first bytes that a model may have; and the same model as a checkpoint, with the options'
// tokenizer and provenance; name is for messages. SLT_ERR_FORMAT if it is none, not as long as its
// sizes ask for, or of a version above 2.
SLT_API bool slt_convert_is_llama2c(const void *data, uint64_t bytes);
SLT_API int slt_convert_llama2c(struct slt_output *out, const char *name, const void *data,
                                uint64_t bytes, const struct slt_convert_options *options,
                                struct slt_error *err) SLT_CHECK_RESULT;

// Whether a whole file is a model of a kind that is known and not read (a pickle, GGUF, safetensors
// without a directory): SLT_ERR_FORMAT with a sentence that says so.
SLT_API int slt_convert_check_file(const char *name, const void *data, uint64_t bytes,
                                   struct slt_error *err) SLT_CHECK_RESULT;

// Writes model.safetensors of dtype (F32, F16 or BF16), config.json and the tokenizer into a
// directory, which is made if it is missing. merge: linears as one matrix (any method); without it
// a model with factors keeps them, its positions as 64-bit integers: the layout of the published
// code. SLT_ERR_RANGE for what has no such layout (relora without merge).
SLT_API int slt_convert_export(const char *directory, struct slt_checkpoint_reader *reader,
                               enum slt_dtype dtype, bool merge, slt_stop_flag *stop,
                               struct slt_error *err) SLT_CHECK_RESULT;

// Writes the model, its linears merged, and its tokenizer as one GGUF file (version 3) for
// llama.cpp's architecture "llama": rows of q and k in the order of its rotation, norms in F32,
// scaled rotary positions as it has them (linear: two keys; llama3: a tensor rope_freqs.weight of
// head_dim/2 divisors), matrices in the type; Q8_0 (blocks of 32 with a scale of 16 bits) only
// where a row is a multiple of 32, else F16. The tokenizer is of ggml's kind "llama" (byte pairs of
// SentencePiece), "t5" (Unigram) or "gpt2" (a byte-level tokenizer.json); rows without a token have
// unused ones. Of the options, on_note and stop count. SLT_ERR_RANGE for other tokenizers, and for
// those that split or normalize text in a way that llama.cpp has not.
enum slt_gguf_type { SLT_GGUF_F32, SLT_GGUF_F16, SLT_GGUF_BF16, SLT_GGUF_Q8_0 };
SLT_API int slt_convert_gguf(struct slt_output *out, struct slt_checkpoint_reader *reader,
                             enum slt_gguf_type type,
                             const struct slt_convert_options *options,
                             struct slt_error *err) SLT_CHECK_RESULT;

#endif
