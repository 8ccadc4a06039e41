// GGUF files, the format of ggml's programs (its specification: docs/gguf.md of ggml): the values
// in a header. Everything is little-endian.
#ifndef SLT_CONVERT_GGUF_H
#define SLT_CONVERT_GGUF_H

#include "slt/convert.h"

// Types of values in the header.
enum {
    GGUF_U8 = 0,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9
};

struct gguf {
    struct slt_output *out;
    struct slt_checkpoint_reader *reader;
    struct slt_config config; // merged
    enum slt_gguf_type type;
    slt_stop_flag *stop;
    struct slt_error *err;
    int rc;            // of the first write that failed
    uint64_t position; // bytes written
    uint64_t keys;     // counted in a first pass without output
    bool counting;
};

void gguf_put(struct gguf *g, const void *data, size_t bytes);
void gguf_put_u32(struct gguf *g, uint32_t value);
void gguf_put_u64(struct gguf *g, uint64_t value);
void gguf_put_f32(struct gguf *g, double value);
void gguf_put_string(struct gguf *g, const char *text);

// A key and its value; of an array, what is before its values.
void gguf_key_u32(struct gguf *g, const char *name, int64_t value);
void gguf_key_id(struct gguf *g, const char *name, int64_t id); // none where id is below 0
void gguf_key_real(struct gguf *g, const char *name, double value);
void gguf_key_flag(struct gguf *g, const char *name, bool value);
void gguf_key_string(struct gguf *g, const char *name, const char *value);
void gguf_key_array(struct gguf *g, const char *name, uint32_t type, uint64_t count);

// Whether llama.cpp puts a space before text behind an added token where the tokenizer does not.
bool gguf_adds_space_behind(const struct slt_tokenizer *tokenizer);
// Whether llama.cpp has the kind of tokenizer and splits text as it does; SLT_ERR_RANGE with the
// reason if not.
int gguf_check_tokenizer(const struct slt_tokenizer *tokenizer,
                         struct slt_error *err) SLT_CHECK_RESULT;
// The keys of a tokenizer, with pieces for all ids of the configuration.
void gguf_put_tokenizer(struct gguf *g, const struct slt_tokenizer *tokenizer);

#endif
