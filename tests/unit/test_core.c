// Errors, numbers, digests, JSON.
#include <locale.h>
#include <math.h>
#include <stdint.h>

#include "check.h"
#include "core/bfloat.h"
#include "core/bytes.h"
#include "core/json.h"
#include "slt/clock.h"
#include "slt/digest.h"
#include "slt/error.h"
#include "slt/number.h"
#include "slt/stream.h"
#include "slt/version.h"

static void test_errors(void)
{
    struct slt_error err = {0};
    int rc = slt_error_set(&err, SLT_ERR_RANGE, "rank %d is below %s", 0, "1");
    CHECK(rc == SLT_ERR_RANGE && err.code == rc, "code %d", err.code);
    CHECK(strcmp(err.message, "rank 0 is below 1") == 0, "%s", err.message);
    rc = slt_error_prefix(&err, rc, "'%s'", "a.slt");
    CHECK(rc == SLT_ERR_RANGE && err.code == rc, "code %d", err.code);
    CHECK(strcmp(err.message, "'a.slt': rank 0 is below 1") == 0, "%s", err.message);
    slt_error_set(&err, SLT_ERR_FORMAT, "again: %s", err.message);
    CHECK(strcmp(err.message, "again: 'a.slt': rank 0 is below 1") == 0, "%s", err.message);
    errno = ENOENT;
    rc = slt_error_errno(&err, "cannot open '%s'", "x");
    CHECK(rc == SLT_ERR_IO &&
              strcmp(err.message, "cannot open 'x': No such file or directory") == 0,
          "%s", err.message);
    errno = ENOMEM;
    CHECK(slt_error_errno(&err, "no") == SLT_ERR_MEMORY, "ENOMEM");
    CHECK(slt_error_set(NULL, SLT_ERR_IO, "%d", 1) == SLT_ERR_IO, "NULL");
    CHECK(slt_error_prefix(NULL, SLT_ERR_IO, "%d", 1) == SLT_ERR_IO, "NULL");
    slt_error_set(&err, SLT_ERR_IO, "'%s'", "a\x1b[31m\nb");
    CHECK(strcmp(err.message, "'a?[31m?b'") == 0, "%s", err.message);
    char longer[3000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    slt_error_set(&err, SLT_ERR_IO, "%s", longer);
    CHECK(strlen(err.message) == sizeof err.message - 1, "%zu", strlen(err.message));
}

static void test_integers(void)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"-0", 0},
        {"42", 42},
        {"-7", -7},
        {"1K", 1000},
        {"1Ki", 1024},
        {"1.5K", 1500},
        {"2.25M", 2250000},
        {"0.5Ki", 512},
        {"1.0T", 1000000000000},
        {"3Gi", 3221225472},
        {"1Ti", (int64_t)1 << 40},
        {"9223372036854775807", INT64_MAX},
        {"007", 7},
        {"1.000000000001T", 1000000000001},
    };
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "1.5",
                                      "x",
                                      "0x10",
                                      "1e3",
                                      "K",
                                      "1KB",
                                      "1k",
                                      "1.K",
                                      ".5K",
                                      "--1",
                                      "+1",
                                      "1Kii",
                                      "-",
                                      "1.0005K",
                                      "0.3Ki",
                                      "9223372036854775808",
                                      "18446744073709551616",
                                      "99999999999T",
                                      "1.5.5K"};
    struct slt_error err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t value = -1;
        CHECK_OK(slt_number_parse(&value, "--n", good[i].text, INT64_MIN, INT64_MAX, &err), err);
        CHECK(value == good[i].value, "%s gives %lld", good[i].text, (long long)value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t value = 77;
        int rc = slt_number_parse(&value, "--n", bad[i], INT64_MIN, INT64_MAX, &err);
        CHECK(rc == SLT_ERR_RANGE && value == 77, "'%s' gives %d, %lld", bad[i], rc,
              (long long)value);
    }
    int64_t value = 77;
    CHECK(slt_number_parse(&value, "--n", "5", 6, 10, &err) == SLT_ERR_RANGE, "below");
    CHECK(strcmp(err.message, "--n '5' is outside [6, 10]") == 0, "%s", err.message);
    CHECK(slt_number_parse(&value, "--n", "0", 1, INT64_MAX, &err) == SLT_ERR_RANGE, "below");
    CHECK(strcmp(err.message, "--n '0' is less than 1") == 0, "%s", err.message);
    CHECK(slt_number_parse(&value, "--n", "11", 6, 10, &err) == SLT_ERR_RANGE, "above");
    CHECK(value == 77, "set on failure");
}

static void test_reals(void)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},  {"3e-3", 3e-3}, {"-1.5", -1.5}, {".5", 0.5},
                {"5.", 5}, {"1E2", 100},   {"+2", 2},      {"1e-400", 0}};
    static const char *const bad[] = {"",    "inf", "nan", "0x1p3", " 1",   "1 ",   "1e",
                                      "1e+", "1,5", ".",   "e5",    "1.5x", "1e999"};
    struct slt_error err;
    // A locale with a decimal comma must make no difference, where there is one.
    setlocale(LC_ALL, "de_DE.UTF-8");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double value = -1;
        CHECK_OK(slt_real_parse(&value, "--x", good[i].text, -1e9, 1e9, &err), err);
        CHECK(value == good[i].value, "%s gives %g", good[i].text, value);
    }
    setlocale(LC_ALL, "C");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double value = 77;
        int rc = slt_real_parse(&value, "--x", bad[i], -1e9, 1e9, &err);
        CHECK(rc == SLT_ERR_RANGE && value == 77, "'%s' gives %d, %g", bad[i], rc, value);
    }
    double value;
    CHECK(slt_real_parse(&value, "--x", "2", 0, 1, &err) == SLT_ERR_RANGE, "above");
    CHECK(strcmp(err.message, "--x '2' is outside [0, 1]") == 0, "%s", err.message);
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"90", 90},     {"90s", 90},       {"15m", 900},      {"2h", 7200},
                {"1d", 86400},  {"1.5h", 5400},    {"1:02:03", 3723}, {"100:00:00", 360000},
                {"0:00:00", 0}, {"00:59:59", 3599}};
    static const char *const bad[] = {"",        "s",   "-5",  "1w",   "1:2:3",  "1:60:00",
                                      "1:00:60", "5ms", "inf", "1:00", ":00:00", "1:00:00s"};
    struct slt_error err;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        double value = -1;
        CHECK_OK(slt_duration_parse(&value, "--max-time", good[i].text, &err), err);
        CHECK(value == good[i].value, "%s gives %g", good[i].text, value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double value = 77;
        int rc = slt_duration_parse(&value, "--max-time", bad[i], &err);
        CHECK(rc == SLT_ERR_RANGE && value == 77, "'%s' gives %d, %g", bad[i], rc, value);
    }
}

static void test_formats(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {
        {0, "0 B"},          {999, "999 B"},         {1000, "1.00 kB"}, {1234567890, "1.23 GB"},
        {9994, "9.99 kB"},   {9996, "10.0 kB"},      {99960, "100 kB"}, {999499, "999 kB"},
        {999500, "1.00 MB"}, {UINT64_MAX, "18.4 EB"}};
    static const struct {
        double seconds;
        const char *text;
    } times[] = {{0, "0s"},       {42.4, "42s"},    {59.6, "1m00s"}, {187, "3m07s"},
                 {7500, "2h05m"}, {90000, "1d01h"}, {-1, "?"},       {1e300, "?"}};
    char text[40];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK(strcmp(slt_bytes_format(text, sizeof text, sizes[i].bytes), sizes[i].text) == 0,
              "%s, not %s", text, sizes[i].text);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        CHECK(strcmp(slt_duration_format(text, sizeof text, times[i].seconds), times[i].text) == 0,
              "%s, not %s", text, times[i].text);
}

// FIPS 180-2's examples, and the check value of CRC-32.
static void test_digests(void)
{
    static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    static const char million[] =
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    struct slt_error err;
    struct slt_sha256 *digest = NULL;
    unsigned char out[SLT_SHA256_BYTES];
    char hex[SLT_SHA256_HEX], block[1000];
    slt_sha256_of(out, "abc", 3);
    CHECK(strcmp(slt_sha256_hex(hex, out), abc) == 0, "%s", hex);
    CHECK_OK(slt_sha256_create(&digest, &err), err);
    memset(block, 'a', sizeof block);
    for (int i = 0; i < 1000; i++)
        slt_sha256_update(digest, block, sizeof block);
    slt_sha256_finish(digest, out);
    CHECK(strcmp(slt_sha256_hex(hex, out), million) == 0, "%s", hex);
    slt_sha256_update(digest, "abc", 3);
    slt_sha256_finish(digest, out);
    CHECK(strcmp(slt_sha256_hex(hex, out), abc) == 0, "starts anew: %s", hex);
    slt_sha256_free(digest);
    slt_sha256_free(NULL);
    CHECK(slt_crc32(0, "123456789", 9) == 0xcbf43926, "CRC-32");
    CHECK(slt_crc32(slt_crc32(0, "1234", 4), "56789", 5) == 0xcbf43926, "CRC-32 in two pieces");
}

static void test_bytes(void)
{
    unsigned char bytes[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    CHECK(slt_load_u16(bytes + 1) == 0x0201, "16 bits");
    CHECK(slt_load_u32(bytes + 1) == 0x04030201, "32 bits");
    CHECK(slt_load_u64(bytes + 1) == 0x0807060504030201, "64 bits");
    slt_store_u64(bytes, 0xf1f2f3f4f5f6f7f8);
    CHECK(bytes[0] == 0xf8 && bytes[7] == 0xf1 && bytes[8] == 8, "store");
    slt_store_u16(bytes, 0x1234);
    slt_store_u32(bytes + 2, 0x789abcde);
    CHECK(slt_load_u64(bytes) == 0xf1f2789abcde1234, "store");
}

static void test_json(void)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "{} x",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":99999999999999999999}",
                                      "{\"a\":\"\\u0000\"}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":NaN}",
                                      "{\"a\":1,}",
                                      "{\"a\""};
    struct slt_error err;
    json_t *object = NULL;
    CHECK_OK(slt_json_parse(&object, "x", "{\"a\":[1,2]}", 11, &err), err);
    CHECK(json_array_size(json_object_get(object, "a")) == 2, "content");
    json_decref(object);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        object = NULL;
        int rc = slt_json_parse(&object, "x", bad[i], strlen(bad[i]), &err);
        CHECK(rc == SLT_ERR_FORMAT && object == NULL, "%s gives %d", bad[i], rc);
    }
    CHECK(slt_json_parse(&object, "x", "{}\0", 3, &err) == SLT_ERR_FORMAT, "a NUL behind it");
    CHECK(slt_json_parse(&object, "x", "{\"a\":1,\n\"a\":2}", 14, &err) != 0 &&
              strstr(err.message, "line 2") != NULL && strstr(err.message, "duplicate") != NULL,
          "%s", err.message);
    char deep[5000];
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"a\":", 5);
    CHECK(slt_json_parse(&object, "x", deep, sizeof deep, &err) == SLT_ERR_FORMAT, "deep nesting");
}

// Rounding to bfloat16: to even, over the exponent's edge, of what is not finite, and without bias.
static void check_bfloat(void)
{
    static const struct {
        float value;
        uint16_t bits;
    } cases[] = {
        {1.0f, 0x3f80},
        {1.00390625f, 0x3f80},
        {1.01171875f, 0x3f82},
        {1.00390637f, 0x3f81},
        {-1.01171875f, 0xbf82},
        {3.4e38f, 0x7f80},
        {INFINITY, 0x7f80},
        {-INFINITY, 0xff80},
        {0.0f, 0},
        {-0.0f, 0x8000},
        {1e-45f, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(slt_bf16_nearest(cases[i].value) == cases[i].bits, "%g: %04x", (double)cases[i].value,
              slt_bf16_nearest(cases[i].value));
    CHECK(isnan(slt_bf16_value(slt_bf16_nearest(NAN))) &&
              isnan(slt_bf16_value(slt_bf16_stochastic(NAN, 0xffff))),
          "NaN");
    CHECK(isinf(slt_bf16_value(slt_bf16_stochastic(INFINITY, 0xffff))), "infinity");
    // A quarter of the way from 1 to its neighbour: away from 1 once in four.
    const float quarter = 1.0f + 0x1p-7f / 4;
    int away = 0;
    for (uint32_t random = 0; random < 65536; random++)
        away += slt_bf16_stochastic(quarter, (uint16_t)random) == 0x3f81;
    CHECK(away == 16384, "%d of 65536", away);
    CHECK(slt_bf16_stochastic(1.5f, 0xffff) == 0x3fc0, "exact values stay");
}

static void test_stop_and_clock(void)
{
    struct slt_error err = {0};
    volatile sig_atomic_t stop = 0;
    CHECK(slt_error_stopped(NULL, &err) == 0 && slt_error_stopped(&stop, &err) == 0 &&
              err.code == 0,
          "not asked to stop");
    stop = SIGTERM;
    CHECK(slt_error_stopped(&stop, &err) == SLT_ERR_STOPPED && err.code == SLT_ERR_STOPPED,
          "code %d", err.code);
    const double start = slt_clock_now(), later = slt_clock_now();
    CHECK(start > 0 && later >= start && later - start < 60, "%g s", later - start);
}

int main(void)
{
    check_bfloat();
    test_errors();
    test_integers();
    test_reals();
    test_durations();
    test_formats();
    test_digests();
    test_bytes();
    test_json();
    test_stop_and_clock();
    CHECK(strstr(slt_build_features(), "oneDNN ") != NULL, "%s", slt_build_features());
    return TEST_END();
}
