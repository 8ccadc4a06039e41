// Generating text: a prompt of any length can be stopped, and goes on to the same logits; quantized
// models give those of their values.
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "slt/generate.h"
#include "slt/init.h"
#include "slt/quantize.h"

#define PROMPT 300 // several chunks

static volatile sig_atomic_t stop;

static void write_model(const char *path)
{
    struct slt_config config;
    struct slt_output *out = NULL;
    struct slt_error err;
    CHECK_OK(slt_config_preset(&config, "nano", &err), err);
    config.num_hidden_layers = 1;
    config.vocab_size = 64;
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_init_write(out, &config, NULL, NULL, NULL, NULL, 1, NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
}

static struct slt_generator *open_generator(const char *path, struct slt_device *device)
{
    const struct slt_sampling sampling = {.top_p = 1, .seed = 1, .stop = &stop};
    struct slt_generator *g = NULL;
    struct slt_checkpoint_reader *reader = NULL;
    struct slt_input *in = NULL;
    struct slt_error err;
    CHECK_OK(slt_input_open(&in, path, NULL, &err), err);
    CHECK_OK(slt_checkpoint_open(&reader, in, &err), err);
    CHECK_OK(slt_generator_create(&g, device, reader, PROMPT + 10, &sampling, &err), err);
    slt_checkpoint_close(reader);
    return g;
}

static void test_stop(const char *path, struct slt_device *device)
{
    struct slt_error err = {0};
    struct slt_generator *g = open_generator(path, device), *other = open_generator(path, device);
    int32_t ids[PROMPT], next, again;
    for (int i = 0; i < PROMPT; i++)
        ids[i] = i * 7 % 64;
    stop = SIGTERM;
    CHECK(slt_generator_feed(g, ids, PROMPT, &err) == SLT_ERR_STOPPED, "a prompt: %d", err.code);
    CHECK(slt_generator_feed(g, ids, 1, &err) == SLT_ERR_STOPPED, "a token: %d", err.code);
    stop = 0;
    CHECK_OK(slt_generator_feed(g, ids, PROMPT, &err), err);
    CHECK_OK(slt_generator_feed(other, ids, PROMPT, &err), err);
    CHECK(memcmp(slt_generator_logits(g), slt_generator_logits(other), 64 * sizeof(float)) == 0,
          "stopping before the first token has changed something");
    CHECK_OK(slt_generator_next(g, &next, &err), err);
    CHECK_OK(slt_generator_next(other, &again, &err), err);
    CHECK(next == again, "%d, %d", next, again);
    stop = SIGINT;
    CHECK(slt_generator_next(g, &next, &err) == SLT_ERR_STOPPED, "the next one: %d", err.code);
    stop = 0;
    slt_generator_free(g);
    slt_generator_free(other);
}

// Writes the model at from to path, quantized as how says, or with SLT_QUANT_NONE its values.
static void write_quantized(const char *path, const char *from, struct slt_quantization how)
{
    const struct slt_quantize_run run = {.how = how, .threads = 1};
    struct slt_checkpoint_reader *reader = NULL;
    struct slt_input *in = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    CHECK_OK(slt_input_open(&in, from, NULL, &err), err);
    CHECK_OK(slt_checkpoint_open(&reader, in, &err), err);
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_checkpoint_quantize(out, reader, &run, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    slt_checkpoint_close(reader);
}

// A quantized model says the same as its values do, whatever of it is kept in codes: with blocks of
// 256 all but the sparse values, with 96 only what begins with a block.
static void test_quantized(const char *path, struct slt_device *device, enum slt_quant_type type,
                           int64_t block)
{
    char codes[64], values[64];
    struct slt_error err = {0};
    snprintf(codes, sizeof codes, "%s-codes", path);
    snprintf(values, sizeof values, "%s-values", path);
    write_quantized(codes, path, (struct slt_quantization){type, block});
    write_quantized(values, codes, (struct slt_quantization){SLT_QUANT_NONE, 0});
    struct slt_generator *g = open_generator(codes, device), *want = open_generator(values, device);
    int32_t ids[100];
    for (int i = 0; i < 100; i++)
        ids[i] = i * 7 % 64;
    for (int64_t count = 100; count > 0; count = count > 4 ? 4 : count > 1 ? 1 : 0) {
        CHECK_OK(slt_generator_feed(g, ids, count, &err), err);
        CHECK_OK(slt_generator_feed(want, ids, count, &err), err);
        double square = 0, error = 0;
        for (int i = 0; i < 64; i++) {
            const double x = (double)slt_generator_logits(want)[i];
            const double e = (double)slt_generator_logits(g)[i] - x;
            square += x * x;
            error += e * e;
        }
        CHECK(error <= 1e-10 * square && square > 0, "blocks of %d, %d tokens: error %g",
              (int)block, (int)count, sqrt(error / square));
    }
    slt_generator_free(g);
    slt_generator_free(want);
    unlink(codes);
    unlink(values);
}

int main(void)
{
    char path[] = "/tmp/slt-test-generate-XXXXXX";
    struct slt_device *device = NULL;
    struct slt_error err;
    const int fd = mkstemp(path);
    CHECK(fd >= 0, "mkstemp");
    close(fd);
    write_model(path);
    CHECK_OK(slt_device_open(&device, "cpu", 1, &err), err);
    test_stop(path, device);
    test_quantized(path, device, SLT_QUANT_INT8, 256);
    test_quantized(path, device, SLT_QUANT_INT8, 96);
    test_quantized(path, device, SLT_QUANT_DYN8, 256);
    slt_device_close(device);
    CHECK_OK(slt_device_open(&device, "cpu-reference", 1, &err), err);
    test_quantized(path, device, SLT_QUANT_INT8, 256);
    slt_device_close(device);
    unlink(path);
    return TEST_END();
}
