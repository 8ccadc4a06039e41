// Block-wise quantization: errors below their bounds, exact special values, packing, refusals.
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "slt/quantize.h"
#include "slt/random.h"

enum { COUNT = 3001 };

static const struct {
    enum slt_quant_type type;
    double bound; // of |error| / absmax
} types[] = {{SLT_QUANT_INT8, 1.0 / 254}, {SLT_QUANT_DYN8, 0.00704}, {SLT_QUANT_NF4, 0.152}};

static const int64_t blocks[] = {1, 2, 7, 64, 255, 256, 3000, 3001, 65536};

// Quantizes and dequantizes exactly sized copies, so that a sanitizer sees every step outside.
static int64_t round_trip(float *back, const struct slt_quantization *how, const float *x,
                          int64_t count)
{
    float *absmax = malloc((size_t)slt_quant_blocks(how, count) * sizeof *absmax);
    void *codes = malloc((size_t)slt_quant_bytes(how, count));
    const int64_t bad = slt_quantize(codes, absmax, how, x, count, 0);
    if (bad < 0)
        slt_dequantize(back, how, codes, absmax, count, 0);
    free(absmax);
    free(codes);
    return bad;
}

// The largest |error| / absmax over blocks.
static double worst(const float *x, const float *back, int64_t block)
{
    double result = 0;
    for (int64_t at = 0; at < COUNT; at += block) {
        double absmax = 0, error = 0;
        for (int64_t i = at; i < at + block && i < COUNT; i++) {
            absmax = fmax(absmax, fabs(x[i]));
            error = fmax(error, fabs((double)x[i] - back[i]));
        }
        result = fmax(result, error / absmax);
    }
    return result;
}

static void test_bounds(const float *x)
{
    float back[COUNT], again[COUNT];
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
            const struct slt_quantization how = {types[t].type, blocks[b]};
            CHECK(round_trip(back, &how, x, COUNT) == -1, "finite values");
            const double error = worst(x, back, how.block);
            // Reaching half of the bound shows that the bound is one.
            CHECK(error <= types[t].bound * (1 + 1e-5) &&
                      (how.block < 64 || error > types[t].bound / 2),
                  "%s, block %lld: %g of %g", slt_quant_name(how.type), (long long)how.block, error,
                  types[t].bound);
            // dyn8 has no code for -absmax, so that a second time scales differ.
            CHECK(round_trip(again, &how, back, COUNT) == -1, "finite values");
            CHECK(how.type == SLT_QUANT_DYN8 || memcmp(back, again, sizeof back) == 0,
                  "%s, block %lld: values that are stored ones change", slt_quant_name(how.type),
                  (long long)how.block);
        }
    }
}

static void test_layout(void)
{
    const struct slt_quantization int8 = {SLT_QUANT_INT8, 4}, nf4 = {SLT_QUANT_NF4, 3};
    const float x[7] = {1.27f, -0.635f, 0.01f, 0.004f, -2, 0, 1};
    float absmax[3];
    int8_t codes[7];
    uint8_t packed[4];
    CHECK(slt_quant_bytes(&int8, 7) == 7 && slt_quant_blocks(&int8, 7) == 2, "sizes");
    CHECK(slt_quantize(codes, absmax, &int8, x, 7, 1) == -1, "int8");
    // -63.5 goes to the even neighbour, 63.5 too.
    const int8_t want[7] = {127, -64, 1, 0, -127, 0, 64};
    CHECK(memcmp(codes, want, sizeof want) == 0, "%d %d %d %d %d %d %d", codes[0], codes[1],
          codes[2], codes[3], codes[4], codes[5], codes[6]);
    CHECK(absmax[0] == 1.27f && absmax[1] == 2, "%g %g", absmax[0], absmax[1]);

    CHECK(slt_quant_bytes(&nf4, 7) == 4 && slt_quant_blocks(&nf4, 7) == 3, "sizes");
    CHECK(slt_quantize(packed, absmax, &nf4, x, 7, 1) == -1, "nf4");
    // Codes 15, 2 (-0.5), 7 (0.0079) | 7 (0.002), 0, 7 | 15, and a zero to the full byte.
    const uint8_t nibbles[4] = {0x2f, 0x77, 0x70, 0x0f};
    CHECK(memcmp(packed, nibbles, 4) == 0, "%02x %02x %02x %02x", packed[0], packed[1], packed[2],
          packed[3]);
    CHECK(absmax[0] == 1.27f && absmax[1] == 2 && absmax[2] == 1, "absmax");
}

static void test_special(void)
{
    float back[16];
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const struct slt_quantization how = {types[t].type, 8};
        const float zero[16] = {0, -0.0f};
        float x[16] = {0};
        CHECK(round_trip(back, &how, zero, 16) == -1, "zeros");
        for (int i = 0; i < 16; i++)
            CHECK(back[i] == 0, "a zero is %g", back[i]);
        // The smallest and the largest magnitudes; their reciprocal and their sum are infinite.
        x[0] = -0x1p-149f, x[8] = -0x1.fffffep127f, x[9] = 0x1.fffffep127f;
        CHECK(round_trip(back, &how, x, 16) == -1, "extremes");
        CHECK(isfinite(back[8]) && back[9] == x[9] && fabsf(back[0]) <= 0x1p-149f, "%g %g %g",
              back[8], back[9], back[0]);
        CHECK(how.type == SLT_QUANT_DYN8 || (back[0] == x[0] && back[8] == x[8]), "%g %g", back[0],
              back[8]);
        x[13] = NAN;
        CHECK(round_trip(back, &how, x, 16) == 13, "NaN");
        x[5] = -INFINITY;
        CHECK(round_trip(back, &how, x, 16) == 5, "infinity");
        CHECK(round_trip(back, &how, x, 0) == -1, "nothing");
    }
}

static void test_names(void)
{
    struct slt_error err;
    enum slt_quant_type type = SLT_QUANT_NONE;
    for (int t = SLT_QUANT_NONE + 1; t < SLT_QUANT_TYPES; t++) {
        CHECK_OK(slt_quant_parse(&type, slt_quant_name((enum slt_quant_type)t), &err), err);
        CHECK((int)type == t, "%d", (int)type);
    }
    CHECK(slt_quant_parse(&type, "none", &err) == SLT_ERR_RANGE, "none is no type to ask for");
    CHECK(slt_quant_parse(&type, "int4", &err) == SLT_ERR_RANGE, "int4");
    CHECK(strstr(err.message, "int8, dyn8, nf4") != NULL, "%s", err.message);
}

static void test_config(void)
{
    struct slt_config config, back;
    struct slt_error err;
    char *json;
    CHECK_OK(slt_config_preset(&config, "nano", &err), err);
    config.quantization = (struct slt_quantization){SLT_QUANT_NF4, 64};
    CHECK_OK(slt_config_write(&config, &json, &err), err);
    CHECK(strstr(json, "\"quantization\"") != NULL, "%s", json);
    CHECK_OK(slt_config_parse(&back, "c", json, strlen(json), &err), err);
    CHECK(back.quantization.type == SLT_QUANT_NF4 && back.quantization.block == 64, "%s", json);
    free(json);
    const int64_t bad[] = {0, -1, SLT_QUANT_BLOCK_MAX + 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        config.quantization.block = bad[i];
        CHECK(slt_config_check(&config, &err) == SLT_ERR_RANGE, "block %lld", (long long)bad[i]);
        CHECK(strstr(err.message, "quantization.block") != NULL, "%s", err.message);
    }
    config.quantization = (struct slt_quantization){SLT_QUANT_NONE, 64};
    CHECK(slt_config_check(&config, &err) == SLT_ERR_RANGE, "a block without a type");
}

int main(void)
{
    static float x[COUNT];
    slt_random_normal(x, slt_random_key("test", "quantize", 1), 0, COUNT, 0.02f);
    test_bounds(x);
    test_layout();
    test_special();
    test_names();
    test_config();
    return TEST_END();
}
