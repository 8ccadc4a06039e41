// How the linears of a new model start: by the singular vectors of a full-rank start, by orthonormal
// factors of the same norm, and S as ever; from the seed alone, on any number of threads.
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "files/param_tensors.h"
#include "linalg/svd.h"
#include "weights/dense.h"
#include "weights/starts.h"

enum { LINEARS = 2 * 7 };

static char directory[] = "/tmp/slt-test-starts-XXXXXX";

static char *in_directory(char path[64], const char *name)
{
    snprintf(path, 64, "%s/%s", directory, name);
    return path;
}

// Two layers whose keys and values have fewer outputs than the rank; the second layer's o is full.
static struct slt_config config_of(enum slt_method method)
{
    struct slt_config c;
    struct slt_error err;
    CHECK_OK(slt_config_preset(&c, "nano", &err), err);
    c.vocab_size = 50;
    c.hidden_size = 64;
    c.intermediate_size = 96;
    c.num_hidden_layers = 2;
    c.num_attention_heads = 4;
    c.num_key_value_heads = 1;
    c.head_dim = 16;
    c.method = method;
    c.seed = 11;
    if (method == SLT_FULL)
        return c;
    c.rank = 20;
    c.alpha = 12;
    c.layers[0] =
        (struct slt_layers){.first = 1, .last = 1, .groups = 1 << SLT_GROUP_O, .full = true};
    c.layers[1] =
        (struct slt_layers){.first = 1, .last = 1, .groups = 1 << SLT_GROUP_DOWN, .rank = 31};
    c.layers_count = 2;
    if (method == SLT_SLTRAIN) {
        c.density = 0.1;
        c.support.kind = SLT_SUPPORT_RANDOM;
    }
    return c;
}

static void write_model(const char *name, const struct slt_config *c,
                        const struct slt_init_start *start, int threads)
{
    char path[64];
    struct slt_error err;
    struct slt_output *out;
    CHECK_OK(slt_output_open(&out, in_directory(path, name), NULL, &err), err);
    CHECK_OK(slt_init_write(out, c, NULL, NULL, start, NULL, threads, NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
}

// All linears of a new model in the order of files; they are owned by the caller.
static void read_linears(struct slt_dense_linear linear[LINEARS], const struct slt_config *c,
                         const struct slt_init_start *start)
{
    char path[64];
    struct slt_error err;
    struct slt_input *in;
    struct slt_checkpoint_reader *reader;
    struct slt_param_info *params;
    size_t count, at = 0;
    write_model("m.slt", c, start, 2);
    CHECK_OK(slt_input_open(&in, in_directory(path, "m.slt"), NULL, &err), err);
    CHECK_OK(slt_checkpoint_open(&reader, in, &err), err);
    CHECK_OK(slt_config_params(slt_checkpoint_config(reader), &params, &count, &err), err);
    for (size_t i = 0, taken; i < count; i += taken) {
        static float skipped[50 * 64];
        taken = 1;
        if (params[i].group >= 0) {
            CHECK_OK(slt_dense_read(&linear[at++], &taken, &params[i], reader, &err), err);
            continue;
        }
        CHECK_OK(slt_param_expect(reader, &params[i], &err), err);
        CHECK_OK(slt_checkpoint_read(reader, skipped,
                                     (size_t)(params[i].rows * params[i].cols) * sizeof *skipped,
                                     &err),
                 err);
    }
    CHECK(at == LINEARS, "%zu linears", at);
    free(params);
    slt_checkpoint_close(reader);
}

static void free_linears(struct slt_dense_linear linear[LINEARS])
{
    for (int i = 0; i < LINEARS; i++)
        slt_dense_free(&linear[i]);
}

static double square_of(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

// s B A is the best part of that rank of what a full-rank model has, in balanced factors; a relora
// model is that one.
static void check_svd(enum slt_method method)
{
    const struct slt_init_start start = {SLT_FACTORS_SVD, 1};
    const struct slt_config c = config_of(method), dense = config_of(SLT_FULL);
    struct slt_dense_linear linear[LINEARS], full[LINEARS];
    struct slt_error err;
    read_linears(linear, &c, &start);
    read_linears(full, &dense, NULL);
    for (int i = 0; i < LINEARS; i++) {
        const struct slt_dense_linear *l = &linear[i];
        const int64_t m = l->out, n = l->in, k = m < n ? m : n;
        float ba[64 * 96], rest[64 * 96], sigma[64];
        double tail = 0, off = 0, unbalanced = 0;
        slt_dense_merge(ba, l, l->rank > 0 ? SLT_DENSE_BA : SLT_DENSE_W);
        memcpy(rest, full[i].w, sizeof *rest * (size_t)(m * n));
        CHECK_OK(slt_svd(NULL, sigma, NULL, slt_matrix(rest, m, n), &err), err);
        for (int64_t r = l->rank > 0 ? l->rank : k; r < k; r++)
            tail += (double)sigma[r] * (double)sigma[r];
        for (int64_t e = 0; e < m * n; e++)
            off += pow((double)full[i].w[e] - (double)ba[e], 2);
        CHECK(fabs(off - tail) <= 1e-6 * square_of(full[i].w, m * n), "%s, %s: %g is left, not %g",
              slt_method_name(method), l->name, off, tail);
        for (int64_t r = 0; r < l->rank && r < k; r++) {
            double column = 0;
            for (int64_t row = 0; row < m; row++)
                column += pow((double)l->b[row * l->rank + r], 2);
            unbalanced = fmax(unbalanced, fabs(column / square_of(l->a + r * n, n) - 1));
            CHECK(fabs(column * l->scale / (double)sigma[r] - 1) < 1e-4, "%s: value %d of %g",
                  l->name, (int)r, (double)sigma[r]);
        }
        CHECK(unbalanced < 1e-4, "%s: factors differ by %g", l->name, unbalanced);
        if (l->rank > 0 && l->w != NULL) {
            slt_dense_merge(ba, l, SLT_DENSE_ALL);
            for (int64_t e = 0; e < m * n; e++)
                off = fmax(e > 0 ? off : 0, fabs((double)full[i].w[e] - (double)ba[e]));
            CHECK(off < 1e-6, "%s is off W0 by %g", l->name, off);
        }
    }
    free_linears(linear);
    free_linears(full);
}

// Rows of a (k, n): orthogonal, all of the length c; row i is at x + i row, its elements step apart.
static double off_orthonormal(const float *x, int64_t k, int64_t n, int64_t row, int64_t step,
                              double c)
{
    double worst = 0;
    for (int64_t i = 0; i < k; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t e = 0; e < n; e++)
                sum += (double)x[i * row + e * step] * (double)x[j * row + e * step];
            worst = fmax(worst, fabs(sum / (c * c) - (i == j)));
        }
    }
    return worst;
}

static void check_orthogonal(enum slt_method method)
{
    const struct slt_init_start start = {SLT_FACTORS_ORTHOGONAL, 1};
    const struct slt_config c = config_of(method);
    struct slt_dense_linear linear[LINEARS];
    read_linears(linear, &c, &start);
    for (int i = 0; i < LINEARS; i++) {
        const struct slt_dense_linear *l = &linear[i];
        const int64_t r = l->rank, b = r < l->out ? r : l->out;
        if (r == 0)
            continue;
        float ba[64 * 96];
        const double norm = slt_start_norm(l->out, l->in, r, c.initializer_range);
        const double length = sqrt(square_of(l->a, l->in));
        CHECK(off_orthonormal(l->a, r, l->in, l->in, 1, length) < 1e-5, "A of %s", l->name);
        CHECK(off_orthonormal(l->b, b, l->out, 1, r, length) < 1e-5, "B of %s", l->name);
        CHECK(fabs(square_of(l->b, l->out * r) / (length * length * (double)b) - 1) < 1e-5,
              "the rest of B of %s", l->name);
        slt_dense_merge(ba, l, SLT_DENSE_BA);
        CHECK(fabs(sqrt(square_of(ba, l->out * l->in)) / norm - 1) < 1e-5, "%s: %g, not %g",
              l->name, sqrt(square_of(ba, l->out * l->in)), norm);
    }
    free_linears(linear);
}

// The law of large matrices against some that are drawn.
static void check_norm(void)
{
    static const struct {
        int64_t m, n, r;
        double limit;
    } cases[] = {{64, 64, 20, 0.02},   {96, 64, 20, 0.02}, {64, 96, 50, 0.01}, {200, 40, 5, 0.03},
                 {128, 128, 32, 0.01}, {16, 64, 16, 0.02}, {128, 128, 1, 0.05}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum { DRAWS = 8 };
        const int64_t m = cases[i].m, n = cases[i].n;
        float w[128 * 128], sigma[128];
        double sum = 0;
        for (int d = 0; d < DRAWS; d++) {
            struct slt_error err;
            slt_random_normal(w, slt_random_key("test", "norm", (uint64_t)d), 0, (size_t)(m * n),
                              0.5f);
            CHECK_OK(slt_svd(NULL, sigma, NULL, slt_matrix(w, m, n), &err), err);
            sum += square_of(sigma, cases[i].r) / DRAWS;
        }
        const double norm = slt_start_norm(m, n, cases[i].r, 0.5);
        CHECK(fabs(norm / sqrt(sum) - 1) < cases[i].limit, "%d x %d, rank %d: %g, drawn %g", (int)m,
              (int)n, (int)cases[i].r, norm, sqrt(sum));
    }
    CHECK(fabs(slt_start_norm(64, 96, 64, 2) / (2 * sqrt(64 * 96)) - 1) < 1e-6, "of full rank");
}

// S is the one of a kaiming start, times its scale; so are the linears that are full.
static void check_sparse(void)
{
    const struct slt_config c = config_of(SLT_SLTRAIN);
    struct slt_dense_linear plain[LINEARS], other[LINEARS];
    read_linears(plain, &c, NULL);
    for (int f = 0; f < 3; f++) {
        const struct slt_init_start start = {(enum slt_init_factors)f, f == 0 ? 0 : 0.25};
        read_linears(other, &c, &start);
        for (int i = 0; i < LINEARS; i++) {
            const struct slt_dense_linear *a = &plain[i], *b = &other[i];
            CHECK(a->nnz == b->nnz && (a->w == NULL) == (b->w == NULL), "%s", a->name);
            for (int64_t e = 0; e < a->nnz; e++)
                CHECK(b->position[e] == a->position[e] &&
                          (double)b->values[e] == start.sparse_scale * (double)a->values[e],
                      "%s: value %d", a->name, (int)e);
            CHECK(a->w == NULL || memcmp(a->w, b->w, sizeof *a->w * (size_t)(a->out * a->in)) == 0,
                  "%s", a->name);
        }
        free_linears(other);
    }
    free_linears(plain);
}

static void check_reproducible(void)
{
    static const char *const names[] = {"a.slt", "b.slt"};
    for (int f = 0; f < 3; f++) {
        const struct slt_init_start start = {(enum slt_init_factors)f, 1};
        const struct slt_config c = config_of(SLT_SLTRAIN);
        void *data[2];
        size_t bytes[2];
        for (int i = 0; i < 2; i++) {
            char path[64];
            struct slt_error err;
            write_model(names[i], &c, &start, i == 0 ? 1 : 3);
            CHECK_OK(slt_file_read(&data[i], &bytes[i], in_directory(path, names[i]), 1 << 24, NULL,
                                   &err),
                     err);
            unlink(path);
        }
        CHECK(bytes[0] == bytes[1] && memcmp(data[0], data[1], bytes[0]) == 0,
              "start %d on one thread and on three", f);
        free(data[0]);
        free(data[1]);
    }
}

int main(void)
{
    char path[64];
    if (mkdtemp(directory) == NULL)
        return 1;
    check_norm();
    check_svd(SLT_LOWRANK);
    check_svd(SLT_SLTRAIN);
    check_svd(SLT_RELORA);
    check_orthogonal(SLT_LOWRANK);
    check_orthogonal(SLT_SLTRAIN);
    check_orthogonal(SLT_RELORA);
    check_sparse();
    check_reproducible();
    unlink(in_directory(path, "m.slt"));
    rmdir(directory);
    return TEST_END();
}
