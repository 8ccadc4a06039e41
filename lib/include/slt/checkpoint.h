// Checkpoints (.slt): a pax tar of config.json, the tokenizer, safetensors and a manifest
// (slt-checkpoint(5)), read and written as a stream, optionally zstd-compressed on input.
#ifndef SLT_CHECKPOINT_H
#define SLT_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slt/config.h"
#include "slt/dtype.h"
#include "slt/stream.h"

#define SLT_TENSOR_MAX_DIMS 4
#define SLT_TENSOR_NAME     120

struct slt_tensor_info {
    char name[SLT_TENSOR_NAME];
    enum slt_dtype dtype;
    int dims; // 1 or 2 in our own files
    int64_t shape[SLT_TENSOR_MAX_DIMS];
    uint64_t bytes; // product of shape and element size
};

// The tensor that a parameter is in a file that is not quantized.
SLT_API void slt_param_tensor(struct slt_tensor_info *tensor, const struct slt_param_info *param);

enum slt_section { SLT_SECTION_MODEL, SLT_SECTION_OPTIMIZER };

// ---- Reading ----

struct slt_checkpoint_reader;

// Opens and reads config.json and the tokenizer. A quantized model reads like one in F32. The
// reader owns in from now on, also on failure.
SLT_API int slt_checkpoint_open(struct slt_checkpoint_reader **reader, struct slt_input *in,
                                struct slt_error *err) SLT_CHECK_RESULT;
// From the first slt_checkpoint_next on, the tensors of a quantized model come as they are stored
// (quantize.h): T.absmax, then T with the codes. Without this call they come as F32.
SLT_API void slt_checkpoint_show_stored(struct slt_checkpoint_reader *reader);
// The threads that decode a quantized model; 0, as without this call, for all.
SLT_API void slt_checkpoint_use_threads(struct slt_checkpoint_reader *reader, int threads);
SLT_API const char *slt_checkpoint_name(const struct slt_checkpoint_reader *reader);
SLT_API const struct slt_config *slt_checkpoint_config(const struct slt_checkpoint_reader *reader);
// The text of config.json, NUL-terminated, owned by the reader.
SLT_API const char *slt_checkpoint_config_json(const struct slt_checkpoint_reader *reader);
// The tokenizer's bytes and member name, or NULL if it has none; owned by the reader.
SLT_API const void *slt_checkpoint_tokenizer(const struct slt_checkpoint_reader *reader,
                                             size_t *bytes, const char **member);
// Moves to the next tensor, skipping what was not read of the last one: 1 with *section and *info
// (owned by the reader), 0 after the last one (the manifest has been verified then), negative on
// error.
SLT_API int slt_checkpoint_next(struct slt_checkpoint_reader *reader, enum slt_section *section,
                                const struct slt_tensor_info **info,
                                struct slt_error *err) SLT_CHECK_RESULT;
// All tensors of the section that the current tensor is in; owned by the reader.
SLT_API const struct slt_tensor_info *
slt_checkpoint_tensors(const struct slt_checkpoint_reader *reader, size_t *count);
// Reads the next bytes of the current tensor; fewer than asked for is an error.
SLT_API int slt_checkpoint_read(struct slt_checkpoint_reader *reader, void *data, size_t bytes,
                                struct slt_error *err) SLT_CHECK_RESULT;
// The same of a quantized tensor in place of its values: its codes, and the scales of all its
// blocks, which the reader owns until the next tensor.
SLT_API int slt_checkpoint_read_codes(struct slt_checkpoint_reader *reader, void *codes,
                                      size_t bytes, const float **absmax, struct slt_error *err)
    SLT_CHECK_RESULT;
// The text of trainer.json (NUL-terminated, owned by the reader): known once the model's tensors
// are passed; NULL if none.
SLT_API const char *slt_checkpoint_trainer(const struct slt_checkpoint_reader *reader);
// The text of provenance.jsonl (owned by the reader), known after slt_checkpoint_next returned 0;
// NULL if none.
SLT_API const char *slt_checkpoint_provenance(const struct slt_checkpoint_reader *reader);
// The SHA-256 of what the model is: the manifest's lines of config.json, the tokenizer and
// model.safetensors. Known once the model's tensors are passed, NULL before; owned by the reader.
SLT_API const unsigned char *
slt_checkpoint_model_digest(const struct slt_checkpoint_reader *reader);
SLT_API void slt_checkpoint_close(struct slt_checkpoint_reader *reader);

// Skips to the end and verifies the manifest.
SLT_API int slt_checkpoint_verify(struct slt_checkpoint_reader *reader,
                                  struct slt_error *err) SLT_CHECK_RESULT;

// ---- Writing ----

struct slt_checkpoint_writer;

// Starts a checkpoint on out, which the caller still owns and publishes after finish. tokenizer may
// be NULL; member is "tokenizer.model" or "tokenizer.json".
SLT_API int slt_checkpoint_create(struct slt_checkpoint_writer **writer, struct slt_output *out,
                                  const struct slt_config *config, const char *tokenizer_member,
                                  const void *tokenizer, size_t tokenizer_bytes,
                                  struct slt_error *err) SLT_CHECK_RESULT;
// Announces the tensors of a section (model first). trainer is trainer.json's text for
// SLT_SECTION_OPTIMIZER, else NULL. Names and sizes are checked.
SLT_API int slt_checkpoint_begin(struct slt_checkpoint_writer *writer, enum slt_section section,
                                 const char *trainer, const struct slt_tensor_info *tensors,
                                 size_t count, struct slt_error *err) SLT_CHECK_RESULT;
// Appends tensor data in the announced order; calls need not coincide with tensors.
SLT_API int slt_checkpoint_write(struct slt_checkpoint_writer *writer, const void *data,
                                 size_t bytes, struct slt_error *err) SLT_CHECK_RESULT;
// Checks that all announced bytes came, writes provenance (JSON lines, may be NULL or empty) and
// manifest, and frees the writer, also on failure.
SLT_API int slt_checkpoint_finish(struct slt_checkpoint_writer *writer, const char *provenance,
                                  struct slt_error *err) SLT_CHECK_RESULT;
// Frees the writer and leaves no end mark. NULL is fine.
SLT_API void slt_checkpoint_abandon(struct slt_checkpoint_writer *writer);

// Appends one provenance line to old (may be NULL): {"tool":..., "version":..., then the members of
// options_json, an object's text or NULL}. The caller frees *text.
SLT_API int slt_provenance_add(char **text, const char *old, const char *tool,
                               const char *options_json, struct slt_error *err) SLT_CHECK_RESULT;

#endif
