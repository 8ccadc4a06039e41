// Philox against the published known answers, and what is drawn from it.
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "slt/digest.h"
#include "slt/random.h"

// The philox4x32 10 lines of tests/kat_vectors of Random123 1.14 (D. E. Shaw Research).
static void test_known_answers(void)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const uint32_t *c = known[i].counter;
        const struct slt_random_key key = {{known[i].key[0], known[i].key[1]}};
        uint32_t out[4];
        slt_random_block(out, key, (uint64_t)c[1] << 32 | c[0], (uint64_t)c[3] << 32 | c[2]);
        CHECK(memcmp(out, known[i].out, sizeof out) == 0, "vector %zu: %08x %08x %08x %08x", i,
              out[0], out[1], out[2], out[3]);
    }
}

// The key is the head of a SHA-256 over tag, name and seed, each told apart.
static void test_key(void)
{
    const struct slt_random_key key = slt_random_key("tag", "name", 0x0102030405060708);
    static const char text[] = "tag\0name\0\x08\x07\x06\x05\x04\x03\x02\x01";
    unsigned char digest[SLT_SHA256_BYTES];
    slt_sha256_of(digest, text, sizeof text - 1);
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(key.word[i / 4] >> 8 * (i % 4));
    CHECK(memcmp(bytes, digest, 8) == 0, "the key is not the head of the digest");
    const struct slt_random_key other = slt_random_key("tagn", "ame", 0x0102030405060708);
    CHECK(memcmp(&key, &other, sizeof key) != 0, "tag and name run together");
}

// Values are functions of their position: any cut of the range gives the same ones.
static void test_positions(void)
{
    enum { COUNT = 101 };
    const struct slt_random_key key = slt_random_key("test", "positions", 1);
    float whole[COUNT], part[COUNT];
    for (int kind = 0; kind < 2; kind++) {
        for (uint64_t base = 0; base < 8; base += 5) {
            if (kind == 0)
                slt_random_uniform(whole, key, base, COUNT, 0.5f);
            else
                slt_random_normal(whole, key, base, COUNT, 0.5f);
            for (size_t cut = 0; cut <= COUNT; cut++) {
                if (kind == 0) {
                    slt_random_uniform(part, key, base, cut, 0.5f);
                    slt_random_uniform(part + cut, key, base + cut, COUNT - cut, 0.5f);
                } else {
                    slt_random_normal(part, key, base, cut, 0.5f);
                    slt_random_normal(part + cut, key, base + cut, COUNT - cut, 0.5f);
                }
                CHECK(memcmp(whole, part, sizeof whole) == 0, "kind %d base %d cut %zu", kind,
                      (int)base, cut);
            }
        }
    }
    float far[4], same[4];
    slt_random_uniform(far, key, (uint64_t)1 << 40, 4, 1.0f);
    slt_random_uniform(same, key, 0, 4, 1.0f);
    CHECK(memcmp(far, same, sizeof far) != 0, "positions wrap at 2^40");
}

// Mean, variance and tails within five standard errors.
static void test_moments(void)
{
    enum { COUNT = 400000 };
    float *v = malloc(COUNT * sizeof *v);
    CHECK(v != NULL, "no memory");
    if (v == NULL)
        return;
    const struct slt_random_key key = slt_random_key("test", "moments", 7);
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 0)
            slt_random_uniform(v, key, 0, COUNT, 2.0f);
        else
            slt_random_normal(v, key, 0, COUNT, 3.0f);
        double sum = 0, square = 0, fourth = 0, pairs = 0, largest = 0;
        for (int i = 0; i < COUNT; i++) {
            const double x = (double)v[i];
            sum += x;
            square += x * x;
            fourth += x * x * x * x;
            pairs += i % 2 ? x * (double)v[i - 1] : 0;
            largest = fabs(x) > largest ? fabs(x) : largest;
        }
        const double variance = kind == 0 ? 4.0 / 3 : 9.0;
        const double kurtosis = kind == 0 ? 1.8 : 3.0;
        const double mean = sum / COUNT, error = sqrt(variance / COUNT);
        CHECK(fabs(mean) < 5 * error, "kind %d: mean %g", kind, mean);
        CHECK(fabs(square / COUNT / variance - 1) < 5 * sqrt((kurtosis - 1) / COUNT),
              "kind %d: variance %g", kind, square / COUNT);
        CHECK(fabs(fourth / COUNT / (variance * variance) - kurtosis) < 0.1, "kind %d: kurtosis %g",
              kind, fourth / COUNT / (variance * variance));
        CHECK(fabs(pairs / (COUNT / 2)) < 5 * variance / sqrt(COUNT / 2), "kind %d: pairs %g", kind,
              pairs / (COUNT / 2));
        CHECK(kind == 0 ? largest <= 2 && largest > 1.999 : largest > 12 && largest < 24,
              "kind %d: largest %g", kind, largest);
    }
    free(v);
}

static void test_unit(void)
{
    CHECK(slt_random_unit(0) == 0.0f, "zero bits");
    CHECK(slt_random_unit(UINT32_MAX) < 1.0f, "all bits give one");
    CHECK(slt_random_unit(0x80000000) == 0.5f, "the top bit is a half");
}

// Every size is permuted, and not left as it is.
static void test_permutation(void)
{
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 1000, 65537};
    const struct slt_random_key key = slt_random_key("test", "permutation", 3);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const uint64_t size = sizes[s];
        unsigned char *seen = calloc(size, 1);
        CHECK(seen != NULL, "no memory");
        if (seen == NULL)
            return;
        uint64_t bad = 0, fixed = 0;
        for (uint64_t i = 0; i < size; i++) {
            const uint64_t j = slt_random_permute(key, i, size);
            bad += j >= size || seen[j]++;
            fixed += i == j;
        }
        CHECK(bad == 0, "size %d: %d repeated or outside", (int)size, (int)bad);
        CHECK(size < 16 || fixed < 10, "size %d: %d stay in place", (int)size, (int)fixed);
        free(seen);
    }
    const uint64_t huge = UINT64_MAX;
    CHECK(slt_random_permute(key, huge - 1, huge) < huge, "the largest size");
    CHECK(slt_random_permute(key, 0, huge) != slt_random_permute(key, 1, huge), "injective");
    // Neighbours must be scattered: the mean distance of random pairs is a third of the size.
    double distance = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        const double a = (double)slt_random_permute(key, i, 10001);
        const double b = (double)slt_random_permute(key, i + 1, 10001);
        distance += fabs(a - b) / 10001 / 10000;
    }
    CHECK(fabs(distance - 1.0 / 3) < 0.02, "mean distance %g", distance);
}

int main(void)
{
    test_known_answers();
    test_key();
    test_positions();
    test_moments();
    test_unit();
    test_permutation();
    return TEST_END();
}
