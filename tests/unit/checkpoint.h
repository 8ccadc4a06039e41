// A small checkpoint in memory, for the tests of its readers and writers.
#ifndef SLT_TESTS_CHECKPOINT_H
#define SLT_TESTS_CHECKPOINT_H

#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "slt/checkpoint.h"

// Files are written to path and removed again.
static char folder[] = "/tmp/slt-test-checkpoint-XXXXXX";
static char path[100];

static const char tokenizer[] = "bytes of a\0tokenizer";
static const char trainer[] = "{\"step\": 3}";
static const char provenance[] = "{\"tool\":\"a\"}\n";

static const struct slt_tensor_info model_tensors[] = {
    {"model.embed_tokens.weight", SLT_F32, 2, {8, 4}, 128},
    {"model.layers.0.self_attn.q_proj.lora_A", SLT_BF16, 2, {3, 5}, 30},
    {"empty", SLT_F32, 2, {0, 7}, 0},
    {"scalar", SLT_I64, 0, {0}, 8},
    {"model.norm.weight", SLT_U8, 1, {5}, 5},
};
static const struct slt_tensor_info optimizer_tensors[] = {{"m.a", SLT_F32, 1, {9}, 36},
                                                           {"v.a", SLT_F64, 3, {1, 2, 3}, 48}};
enum { MODEL_COUNT = 5, MODEL_BYTES = 171, OPTIMIZER_COUNT = 2, OPTIMIZER_BYTES = 84 };

// A file in memory.
struct bytes {
    unsigned char *data;
    size_t size;
};

static inline struct bytes read_file(void)
{
    struct bytes b = {NULL, 0};
    struct slt_error err;
    void *data = NULL;
    CHECK_OK(slt_file_read(&data, &b.size, path, (size_t)64 << 20, NULL, &err), err);
    b.data = data;
    unlink(path);
    return b;
}

static inline struct slt_config small_config(void)
{
    struct slt_config c;
    struct slt_error err;
    CHECK_OK(slt_config_preset(&c, "nano", &err), err);
    return c;
}

static inline unsigned char value_at(size_t i)
{
    return (unsigned char)(i * 37 + i / 19 + 1);
}

static inline struct bytes write_checkpoint(bool with_tokenizer, bool with_state,
                                            bool with_provenance)
{
    const struct slt_config config = small_config();
    struct slt_checkpoint_writer *w = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    unsigned char data[MODEL_BYTES + OPTIMIZER_BYTES];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = value_at(i);
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_checkpoint_create(&w, out, &config, with_tokenizer ? "tokenizer.model" : NULL,
                                   with_tokenizer ? tokenizer : NULL, sizeof tokenizer, &err),
             err);
    CHECK_OK(slt_checkpoint_begin(w, SLT_SECTION_MODEL, NULL, model_tensors, MODEL_COUNT, &err),
             err);
    // Pieces that are no tensors.
    for (size_t at = 0; at < MODEL_BYTES; at += 19)
        CHECK_OK(
            slt_checkpoint_write(w, data + at, 19 < MODEL_BYTES - at ? 19 : MODEL_BYTES - at, &err),
            err);
    if (with_state) {
        CHECK_OK(slt_checkpoint_begin(w, SLT_SECTION_OPTIMIZER, trainer, optimizer_tensors,
                                      OPTIMIZER_COUNT, &err),
                 err);
        CHECK_OK(slt_checkpoint_write(w, data + MODEL_BYTES, OPTIMIZER_BYTES, &err), err);
    }
    CHECK_OK(slt_checkpoint_finish(w, with_provenance ? provenance : NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    return read_file();
}

static inline int verify(const void *file, size_t bytes, struct slt_error *err)
{
    struct slt_checkpoint_reader *r = NULL;
    struct slt_input *in = NULL;
    int rc = slt_input_memory(&in, "m.slt", file, bytes, err);
    if (rc == 0 && (rc = slt_checkpoint_open(&r, in, err)) == 0)
        rc = slt_checkpoint_verify(r, err);
    slt_checkpoint_close(r);
    return rc;
}

// Makes the folder; false if that fails.
static inline bool make_folder(void)
{
    if (mkdtemp(folder) == NULL)
        return false;
    snprintf(path, sizeof path, "%s/file", folder);
    return true;
}

#endif
