// Tokenizers in GGUF files: the keys that SentencePiece models have there, and what is refused.
#include <unistd.h>

#include "core/bytes.h"
#include "slt/convert.h"
#include "slt/init.h"
#include "spm_files.h"

// The value of a key, behind its type, or NULL.
static const unsigned char *value_of(const unsigned char *data, size_t bytes, const char *key,
                                     uint32_t type)
{
    const size_t length = strlen(key);
    for (size_t i = 8; i + length + 12 < bytes; i++)
        if (slt_load_u64(data + i - 8) == length && memcmp(data + i, key, length) == 0)
            return slt_load_u32(data + i + length) == type ? data + i + length + 4 : NULL;
    return NULL;
}

static int flag_of(const unsigned char *data, size_t bytes, const char *key)
{
    const unsigned char *value = value_of(data, bytes, key, 7);
    return value != NULL ? *value : -1;
}

// The GGUF file of a small model with this tokenizer; or the error.
static int convert(void **data, size_t *bytes, const struct spm_spec *spec, int64_t vocab_size,
                   struct slt_error *err)
{
    static const char json[] =
        "{\"vocab_size\": 99, \"hidden_size\": 32, \"intermediate_size\": 32, "
        "\"num_hidden_layers\": 1, \"num_attention_heads\": 2}";
    char path[] = "/tmp/slt-test-gguf-XXXXXX";
    struct text_buffer b = {0};
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_config config;
    struct slt_output *out = NULL;
    struct slt_input *in = NULL;
    struct slt_checkpoint_reader *reader = NULL;
    close(mkstemp(path));
    spm_small(&b, spec);
    CHECK_OK(slt_tokenizer_load(&tokenizer, "small", b.data, b.bytes, err), *err);
    CHECK_OK(slt_config_parse(&config, "json", json, sizeof json - 1, err), *err);
    config.vocab_size = vocab_size;
    CHECK_OK(slt_output_open(&out, path, NULL, err), *err);
    CHECK_OK(slt_init_write(out, &config, tokenizer, NULL, NULL, NULL, 1, NULL, err), *err);
    CHECK_OK(slt_output_publish(out, err), *err);
    CHECK_OK(slt_input_open(&in, path, NULL, err), *err);
    CHECK_OK(slt_checkpoint_open(&reader, in, err), *err);
    CHECK_OK(slt_output_open(&out, path, NULL, err), *err);
    const struct slt_convert_options options = {0};
    const int rc = slt_convert_gguf(out, reader, SLT_GGUF_F32, &options, err);
    slt_checkpoint_close(reader);
    if (rc == 0) {
        CHECK_OK(slt_output_publish(out, err), *err);
        CHECK_OK(slt_file_read(data, bytes, path, (size_t)1 << 24, NULL, err), *err);
    } else {
        slt_output_abandon(out);
    }
    unlink(path);
    slt_tokenizer_free(tokenizer);
    free(b.data);
    return rc;
}

static void check_kind(const struct spm_spec *spec, const char *kind)
{
    struct slt_error err = {0};
    void *file = NULL;
    size_t bytes = 0;
    CHECK_OK(convert(&file, &bytes, spec, 28, &err), err);
    const unsigned char *data = file;
    const unsigned char *model = value_of(data, bytes, "tokenizer.ggml.model", 8),
                        *tokens = value_of(data, bytes, "tokenizer.ggml.tokens", 9),
                        *scores = value_of(data, bytes, "tokenizer.ggml.scores", 9),
                        *types = value_of(data, bytes, "tokenizer.ggml.token_type", 9);
    CHECK(model != NULL && slt_load_u64(model) == strlen(kind) &&
              memcmp(model + 8, kind, strlen(kind)) == 0,
          "it is no %s", kind);
    // Strings, floats and whole numbers, as many as there are rows.
    CHECK(tokens != NULL && slt_load_u32(tokens) == 8 && slt_load_u64(tokens + 4) == 28, "tokens");
    CHECK(scores != NULL && slt_load_u32(scores) == 6 && slt_load_u64(scores + 4) == 28, "scores");
    CHECK(types != NULL && slt_load_u32(types) == 5 && slt_load_u64(types + 4) == 28, "types");
    float score = 0;
    memcpy(&score, scores + 12 + 4 * 17, sizeof score);
    CHECK(score == -1, "score %g", (double)score);
    static const uint32_t wanted[] = {2, 3, 3, 1};
    for (size_t i = 0; i < 4; i++)
        CHECK(slt_load_u32(types + 12 + 4 * i) == wanted[i], "type of %zu", i);
    CHECK(slt_load_u32(types + 12 + 4 * 27) == 5, "a row without a token");
    CHECK(flag_of(data, bytes, "tokenizer.ggml.add_space_prefix") == spec->adds_space, "space");
    CHECK(flag_of(data, bytes, "tokenizer.ggml.remove_extra_whitespaces") == spec->removes_spaces,
          "spaces");
    CHECK(flag_of(data, bytes, "tokenizer.ggml.add_bos_token") == 0, "BOS");
    free(file);
}

static void check_refused(const struct spm_spec *spec, int64_t vocab_size, int code,
                          const char *what)
{
    struct slt_error err = {0};
    void *file = NULL;
    size_t bytes = 0;
    const int rc = convert(&file, &bytes, spec, vocab_size, &err);
    CHECK(rc == code && strstr(err.message, what) != NULL, "%d: %s", rc, err.message);
    free(file);
}

int main(void)
{
    check_kind(&(struct spm_spec){.unigram = true, .adds_space = true, .removes_spaces = true},
               "t5");
    check_kind(&(struct spm_spec){.unigram = true}, "t5");
    check_kind(&(struct spm_spec){.adds_space = true}, "llama");
    check_kind(&(struct spm_spec){0}, "llama");
    check_refused(&(struct spm_spec){.removes_spaces = true}, 28, SLT_ERR_RANGE, "removes spaces");
    check_refused(&(struct spm_spec){0}, 25, SLT_ERR_FORMAT, "26 tokens");
    return TEST_END();
}
