// Half-precision numbers, and a small real model from a Hugging Face directory: its logits, losses
// and greedy tokens, computed by others in float64.
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "core/half.h"
#include "core/json.h"
#include "model/model.h"
#include "slt/convert.h"
#include "slt/device.h"

static void check_halves(void)
{
    static const struct {
        float value;
        uint16_t bits;
    } cases[] = {{0, 0},
                 {-0.0f, 0x8000},
                 {1, 0x3c00},
                 {-2, 0xc000},
                 {65504, 0x7bff},
                 {65519, 0x7bff},
                 {65520, 0x7c00},
                 {INFINITY, 0x7c00},
                 {0x1p-14f, 0x0400},
                 {0x1p-24f, 1},
                 {0x1.8p-24f, 2},
                 {0x1p-25f, 0},
                 {1.0f / 3, 0x3555},
                 {1.0004883f, 0x3c00},
                 {1.0014648f, 0x3c02}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(slt_f16_nearest(cases[i].value) == cases[i].bits, "%g: %04x", (double)cases[i].value,
              slt_f16_nearest(cases[i].value));
    CHECK(isnan(slt_f16_value(slt_f16_nearest(NAN))), "NaN");
    int wrong = 0;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const float value = slt_f16_value((uint16_t)bits);
        wrong += !isnan(value) && slt_f16_nearest(value) != bits;
    }
    CHECK(wrong == 0, "%d values do not come back", wrong);
}

// The model of a directory, on the fast backend, for one sequence of tokens.
static struct slt_model *load(struct slt_device **device, const char *directory, int64_t seq)
{
    struct slt_error err;
    char path[] = "/tmp/slt-test-XXXXXX";
    struct slt_output *out;
    struct slt_input *in;
    struct slt_checkpoint_reader *reader;
    struct slt_model *model;
    int more;
    const struct slt_convert_options none = {0};
    const int fd = mkstemp(path);
    CHECK(fd >= 0, "%s", path);
    close(fd);
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_convert_import(out, directory, &none, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    CHECK_OK(slt_input_open(&in, path, NULL, &err), err);
    CHECK_OK(slt_checkpoint_open(&reader, in, &err), err);
    CHECK_OK(slt_device_open(device, "cpu", 2, &err), err);
    const struct slt_model_shape shape = {.batch = 1, .seq = seq, .logits = seq};
    CHECK_OK(slt_model_create(&model, *device, slt_checkpoint_config(reader), SLT_F32, &shape, NULL,
                              NULL, &err),
             err);
    CHECK_OK(slt_model_load(model, reader, &more, &err), err);
    slt_checkpoint_close(reader);
    unlink(path);
    return model;
}

static void check_golden(const char *shared)
{
    struct slt_error err;
    char directory[4000], path[4096];
    void *text;
    size_t bytes;
    json_t *golden;
    snprintf(directory, sizeof directory, "%s/data/weights/stories260K", shared);
    snprintf(path, sizeof path, "%s/golden.json", directory);
    if (access(path, R_OK) != 0) {
        printf("skipped: no %s\n", path);
        return;
    }
    CHECK_OK(slt_file_read(&text, &bytes, path, 1 << 20, NULL, &err), err);
    CHECK_OK(slt_json_parse(&golden, path, text, bytes, &err), err);
    const json_t *tokens = json_object_get(golden, "tokens"), *nll = json_object_get(golden, "nll");
    const json_t *first = json_object_get(golden, "logits_first");
    const int64_t count = (int64_t)json_array_size(tokens), vocab = (int64_t)json_array_size(first);
    CHECK(count > 40 && vocab == 512, "%d tokens, %d logits", (int)count, (int)vocab);
    struct slt_device *device;
    struct slt_model *model = load(&device, directory, count);
    int32_t *ids = malloc((size_t)count * sizeof *ids);
    float *logits = malloc((size_t)(count * vocab) * sizeof *logits);
    for (int64_t i = 0; i < count; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(tokens, (size_t)i));
    slt_model_set_batch(model, ids, NULL);
    slt_model_forward(model);
    CHECK_OK(slt_model_logits(model, logits, &err), err);
    for (int64_t v = 0; v < vocab; v++) {
        const double want = json_number_value(json_array_get(first, (size_t)v));
        CHECK(fabs((double)logits[v] - want) <= 1e-4, "logit %d: %g, not %g", (int)v,
              (double)logits[v], want);
    }
    for (int64_t t = 0; t + 1 < count; t++) {
        const float *row = logits + t * vocab;
        double sum = 0;
        int64_t best = 0;
        for (int64_t v = 0; v < vocab; v++) {
            sum += exp((double)row[v]);
            best = row[v] > row[best] ? v : best;
        }
        const double loss = log(sum) - (double)row[ids[t + 1]];
        CHECK(fabs(loss - json_number_value(json_array_get(nll, (size_t)t))) <= 1e-4,
              "loss of token %d: %g", (int)t, loss);
        CHECK(best == ids[t + 1], "greedy token %d is %d", (int)t, (int)best);
    }
    free(ids);
    free(logits);
    free(text);
    json_decref(golden);
    slt_model_free(model);
    slt_device_close(device);
}

int main(void)
{
    const char *shared = getenv("SLT_SHARED");
    check_halves();
    check_golden(shared != NULL ? shared : "../shared");
    return TEST_END();
}
