// Memory and FLOPs by formula: the formulas are written out anew here, and the index and the routes
// are compared with what the trainer's own layout says.
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "slt/estimate.h"

static const char *const sizes[] = {"60m", "130m", "350m", "1b", "7b"};

static struct slt_config preset(const char *name)
{
    struct slt_config c;
    struct slt_error err;
    CHECK_OK(slt_config_preset(&c, name, &err), err);
    slt_config_method_defaults(&c, name);
    return c;
}

static uint64_t total(const struct slt_config *c, enum slt_scheme scheme, enum slt_accounting a)
{
    struct slt_estimate e = {0};
    struct slt_error err;
    CHECK_OK(slt_estimate_memory(&e, c, scheme, a, &err), err);
    return slt_estimate_total(&e);
}

// The seven linears of a layer are four (d, d) and three (d, f).
struct sums {
    uint64_t base, full, low, nnz, projector, subspace;
};

static struct sums sums_of(const struct slt_config *c)
{
    const uint64_t d = (uint64_t)c->hidden_size, f = (uint64_t)c->intermediate_size;
    const uint64_t l = (uint64_t)c->num_hidden_layers, r = (uint64_t)c->rank;
    const uint64_t base = 2 * (uint64_t)c->vocab_size * d + (2 * l + 1) * d;
    return (struct sums){
        .base = base,
        .full = base + l * (4 * d * d + 3 * d * f),
        .low = base + l * r * (4 * 2 * d + 3 * (d + f)),
        .nnz = l * (4 * (uint64_t)(c->density * (double)(d * d)) +
                    3 * (uint64_t)(c->density * (double)(d * f))),
        .projector = l * r * 7 * d,
        .subspace = l * r * (4 * d + 3 * f),
    };
}

static void test_paper(void)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct slt_config c = preset(sizes[i]);
        const struct sums s = sums_of(&c);
        CHECK(total(&c, SLT_SCHEME_FULL, SLT_ACCOUNT_PAPER) == 6 * s.full, "%s", sizes[i]);
        CHECK(total(&c, SLT_SCHEME_LOWRANK, SLT_ACCOUNT_PAPER) == 6 * s.low, "%s", sizes[i]);
        CHECK(total(&c, SLT_SCHEME_SLTRAIN, SLT_ACCOUNT_PAPER) == 6 * (s.low + s.nnz) + 8 * s.nnz,
              "%s", sizes[i]);
        CHECK(total(&c, SLT_SCHEME_RELORA, SLT_ACCOUNT_PAPER) == 2 * (s.full + s.low) + 4 * s.low,
              "%s", sizes[i]);
        CHECK(total(&c, SLT_SCHEME_GALORE, SLT_ACCOUNT_PAPER) ==
                  2 * s.full + 4 * s.base + 2 * (s.projector + 2 * s.subspace),
              "%s", sizes[i]);
        CHECK(total(&c, SLT_SCHEME_SLTRAIN, SLT_ACCOUNT_PAPER_8BIT) ==
                  4 * (s.low + s.nnz) + 8 * s.nnz,
              "%s", sizes[i]);
    }
}

// 8-bit moments of n values: a code each and 4 bytes for each begun block of 256.
static uint64_t codes(uint64_t n)
{
    return n < 4096 ? 8 * n : 2 * (n + 4 * ((n + 255) / 256));
}

static void test_8bit(void)
{
    // 350m: norms of 1024 values keep fp32 moments; 7b: norms of 4096 do not.
    for (size_t i = 2; i < sizeof sizes / sizeof *sizes; i++) {
        const struct slt_config c = preset(sizes[i]);
        const struct sums s = sums_of(&c);
        const uint64_t d = (uint64_t)c.hidden_size, f = (uint64_t)c.intermediate_size;
        const uint64_t l = (uint64_t)c.num_hidden_layers, r = (uint64_t)c.rank;
        const uint64_t base = 2 * codes((uint64_t)c.vocab_size * d) + (2 * l + 1) * codes(d);
        CHECK(total(&c, SLT_SCHEME_FULL, SLT_ACCOUNT_8BIT) ==
                  2 * s.full + base + l * (4 * codes(d * d) + 3 * codes(d * f)),
              "%s", sizes[i]);
        CHECK(total(&c, SLT_SCHEME_GALORE, SLT_ACCOUNT_8BIT) ==
                  2 * s.full + base + 2 * s.projector + l * (4 * codes(r * d) + 3 * codes(r * f)),
              "%s", sizes[i]);
        const uint64_t square = (uint64_t)(c.density * (double)(d * d));
        const uint64_t wide = (uint64_t)(c.density * (double)(d * f));
        const uint64_t state = 2 * (s.low + s.nnz) + base +
                               l * (11 * codes(r * d) + 3 * codes(r * f)) +
                               l * (4 * codes(square) + 3 * codes(wide));
        CHECK(total(&c, SLT_SCHEME_SLTRAIN, SLT_ACCOUNT_8BIT_NO_INDEX) == state, "%s", sizes[i]);
        // Row starts of q, k, v; of o; of gate, up; of down.
        const uint64_t starts = 3 * d + 1 + d + 1 + 2 * f + 1 + d + 1;
        CHECK(total(&c, SLT_SCHEME_SLTRAIN, SLT_ACCOUNT_8BIT) == state + 2 * s.nnz + 8 * l * starts,
              "%s", sizes[i]);
    }
}

// What the model allocates for its index is what the formula says, rounded up to 64 bytes twice a
// group.
static void test_index(struct slt_device *device)
{
    struct slt_train_options o;
    struct slt_error resolve_err;
    slt_train_defaults(&o);
    o.steps = 1;
    CHECK_OK(slt_train_resolve(&o, &resolve_err), resolve_err);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct slt_config c = preset(sizes[i]);
        struct slt_estimate e = {0};
        struct slt_plan plan = {0};
        struct slt_error err;
        c.method = SLT_SLTRAIN;
        c.support.kind = SLT_SUPPORT_RANDOM;
        CHECK_OK(slt_estimate_memory(&e, &c, SLT_SCHEME_SLTRAIN, SLT_ACCOUNT_8BIT, &err), err);
        CHECK_OK(slt_train_plan(&plan, device, &c, &o, &err), err);
        const uint64_t index = plan.bytes[SLT_REGION_INDEX];
        CHECK(index >= e.index && index < e.index + 2 * 4 * 64 * (uint64_t)c.num_hidden_layers,
              "%s: %llu for %llu", sizes[i], (unsigned long long)index,
              (unsigned long long)e.index);
        CHECK(plan.parameters == e.parameters, "%s", sizes[i]);
    }
}

static void test_flops(struct slt_device *device)
{
    const struct slt_config base = preset("350m");
    const struct sums s = sums_of(&base);
    const double d = 1024, f = 2736, l = 24, r = 256, t = 2048;
    const double linears = l * (4 * d * d + 3 * d * f), rest = 6 * 32000 * d + l * 6 * 256 * d;
    struct slt_train_options o;
    struct slt_flops flops;
    struct slt_work work;
    struct slt_plan plan;
    struct slt_error err;
    slt_train_defaults(&o);
    o.steps = 1;
    o.micro_batch = 8;
    CHECK_OK(slt_train_resolve(&o, &err), err);
    for (int method = SLT_FULL; method <= SLT_SLTRAIN; method++) {
        struct slt_config c = base;
        c.method = (enum slt_method)method;
        c.support.kind = SLT_SUPPORT_RANDOM;
        if (method == SLT_FULL)
            c.rank = 0;
        for (int dense = 0; dense < 2; dense++) {
            double want = rest;
            o.route = dense ? SLT_ROUTE_DENSE : SLT_ROUTE_FACTORED;
            CHECK_OK(slt_estimate_run(&plan, &flops, &work, device, &c, &o, &err), err);
            if (method == SLT_FULL)
                want += 6 * linears;
            else if (dense)
                want += 6 * linears + 8 * r * linears / t;
            else // q, k, v have an A each, and so have gate and up
                want += 6 * (l * r * (4 * 2 * d + 3 * (d + f)) +
                             (method == SLT_SLTRAIN ? (double)s.nnz : 0));
            CHECK(flops.model == 6 * linears + rest, "method %d", method);
            CHECK(fabs(flops.computed - want) < 1e-9 * want, "method %d: %.17g for %.17g", method,
                  flops.computed, want);
            CHECK(strcmp(flops.route[SLT_GROUP_DOWN], method == SLT_FULL ? "full"
                                                      : dense            ? "dense"
                                                                         : "factored") == 0,
                  "method %d: %s", method, flops.route[SLT_GROUP_DOWN]);
        }
    }
    o.route = (enum slt_route)3;
    CHECK(slt_train_resolve(&o, &err) == SLT_ERR_RANGE, "%s", err.message);
}

// What a run of ours is in the paper's tables.
static void test_runs(void)
{
    static const struct {
        enum slt_method method;
        enum slt_optimizer_id optimizer;
        enum slt_scheme scheme;
        enum slt_accounting accounting;
    } rows[] = {
        {SLT_FULL, SLT_OPTIMIZER_ADAMW, SLT_SCHEME_FULL, SLT_ACCOUNT_PAPER},
        {SLT_LOWRANK, SLT_OPTIMIZER_ADAMW, SLT_SCHEME_LOWRANK, SLT_ACCOUNT_PAPER},
        {SLT_RELORA, SLT_OPTIMIZER_ADAMW, SLT_SCHEME_RELORA, SLT_ACCOUNT_PAPER},
        {SLT_SLTRAIN, SLT_OPTIMIZER_ADAM8BIT, SLT_SCHEME_SLTRAIN, SLT_ACCOUNT_PAPER_8BIT},
        {SLT_FULL, SLT_OPTIMIZER_GALORE, SLT_SCHEME_GALORE, SLT_ACCOUNT_PAPER},
        {SLT_FULL, SLT_OPTIMIZER_GALORE8BIT, SLT_SCHEME_GALORE, SLT_ACCOUNT_PAPER_8BIT},
    };
    struct slt_config c = preset("60m");
    struct slt_estimate got, want;
    struct slt_error err;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        c.method = rows[i].method;
        CHECK_OK(slt_estimate_paper(&got, &c, rows[i].optimizer, c.rank, &err), err);
        CHECK_OK(slt_estimate_memory(&want, &c, rows[i].scheme, rows[i].accounting, &err), err);
        CHECK(memcmp(&got, &want, sizeof got) == 0, "row %zu", i);
    }
    c.method = SLT_FULL;
    CHECK_OK(slt_estimate_paper(&got, &c, SLT_OPTIMIZER_SGD, 0, &err), err);
    CHECK(got.weights == 2 * got.parameters && got.moments == 2 * got.parameters, "sgd");
    CHECK_OK(slt_estimate_paper(&got, &c, SLT_OPTIMIZER_MUON, 0, &err), err);
    CHECK(got.moments == 4 * (2 * 32000 * 512 + 17 * 512) + 2 * 8 * (4 * 512 * 512 + 3 * 512 * 1376),
          "muon: %llu bytes of moments", (unsigned long long)got.moments);
}

// 350m with its first layer full, and the o linears of the others with rank 64 and density .1.
static struct slt_config mixed(void)
{
    struct slt_config c = preset("350m");
    c.method = SLT_SLTRAIN;
    c.support.kind = SLT_SUPPORT_RANDOM;
    c.layers[0] = (struct slt_layers){.groups = 15, .full = true};
    c.layers[1] = (struct slt_layers){
        .first = 1, .last = 23, .groups = 1 << SLT_GROUP_O, .rank = 64, .density = .1};
    c.layers_count = 2;
    return c;
}

// Sums by hand over a dense layer and 23 others.
static void test_mixed(struct slt_device *device)
{
    const struct slt_config c = mixed();
    const double d = 1024, f = 2736, t = 2048, dense = 4 * d * d + 3 * d * f;
    const double factors = 256 * (3 * 2 * d + 3 * (d + f)) + 64 * 2 * d;
    const uint64_t base = 2 * 32000 * 1024 + 49 * 1024;
    const uint64_t nnz =
        23 * (3 * (uint64_t)(.03 * d * d) + (uint64_t)(.1 * d * d) + 3 * (uint64_t)(.03 * d * f));
    const uint64_t own = base + (uint64_t)(dense + 23 * factors) + nnz;
    struct slt_train_options o;
    struct slt_flops flops;
    struct slt_work work;
    struct slt_plan plan;
    struct slt_estimate e;
    struct slt_error err;
    slt_train_defaults(&o);
    o.steps = 1;
    o.micro_batch = 8;
    o.route = SLT_ROUTE_FACTORED;
    CHECK_OK(slt_train_resolve(&o, &err), err);
    CHECK_OK(slt_estimate_run(&plan, &flops, &work, device, &c, &o, &err), err);
    const double rest = 6 * 32000 * d + 24 * 6 * 256 * d;
    const double want = rest + 6 * (dense + 23 * factors + (double)nnz);
    CHECK(plan.parameters == own, "%llu parameters, not %llu", (unsigned long long)plan.parameters,
          (unsigned long long)own);
    CHECK(flops.model == rest + 6 * 24 * dense, "%.17g", flops.model);
    CHECK(fabs(flops.computed - want) < 1e-9 * want, "%.17g, not %.17g", flops.computed, want);
    CHECK(strcmp(flops.route[SLT_GROUP_O], "0:full 1-23:factored") == 0, "%s",
          flops.route[SLT_GROUP_O]);
    o.route = SLT_ROUTE_DENSE;
    CHECK_OK(slt_estimate_run(&plan, &flops, &work, device, &c, &o, &err), err);
    const double built = rest + 6 * 24 * dense + 8 * 23 * (256 * (dense - d * d) + 64 * d * d) / t;
    CHECK(fabs(flops.computed - built) < 1e-9 * built, "%.17g, not %.17g", flops.computed, built);
    CHECK_OK(slt_estimate_paper(&e, &c, SLT_OPTIMIZER_ADAMW, 256, &err), err);
    CHECK(e.parameters == own && e.weights == 2 * own && e.moments == 4 * own && e.index == 8 * nnz,
          "paper");
    // GaLore has the moments of the dense layer in a subspace of rank 100.
    CHECK_OK(slt_estimate_paper(&e, &c, SLT_OPTIMIZER_GALORE, 100, &err), err);
    const uint64_t low = 100 * (uint64_t)(4 * d + 3 * f), other = own - (uint64_t)dense;
    CHECK(e.weights == 2 * own && e.moments == 4 * (other + low) && e.index == 8 * nnz &&
              e.projectors == 2 * 100 * 7 * 1024,
          "galore: %llu and %llu", (unsigned long long)e.moments, (unsigned long long)e.projectors);
    // As relora, whose formula has no S: what has no factors is counted twice.
    CHECK_OK(slt_estimate_memory(&e, &c, SLT_SCHEME_RELORA, SLT_ACCOUNT_PAPER, &err), err);
    const uint64_t full = base + (uint64_t)(24 * dense);
    CHECK(e.weights == 2 * (full + own - nnz) && e.moments == 4 * (own - nnz), "relora");
}

// 350m in two micro-batches of 8 sequences of 256, F32: by hand what its parts move and compute.
static void test_work(struct slt_device *device)
{
    const double d = 1024, f = 2736, l = 24, v = 32000, t = 2048;
    const double linears = l * (4 * d * d + 3 * d * f), attention = l * t * 256 * d;
    struct slt_config c = preset("350m");
    struct slt_train_options o;
    struct slt_flops flops;
    struct slt_plan plan;
    struct slt_work w[2];
    struct slt_error err;
    slt_train_defaults(&o);
    o.steps = 1;
    o.batch = 16;
    o.micro_batch = 8;
    CHECK_OK(slt_train_resolve(&o, &err), err);
    c.method = SLT_FULL;
    c.rank = 0;
    for (int block = 0; block < 2; block++) {
        o.recompute = block ? SLT_RECOMPUTE_BLOCK : SLT_RECOMPUTE_NONE;
        CHECK_OK(slt_estimate_run(&plan, &flops, &w[block], device, &c, &o, &err), err);
    }
    CHECK(w[0].flops[SLT_STEP_PRODUCTS] == 2 * t * (6 * linears + 6 * v * d), "products");
    CHECK(w[1].flops[SLT_STEP_PRODUCTS] == 2 * t * (8 * linears + 6 * v * d), "products again");
    CHECK(w[0].flops[SLT_STEP_ATTENTION] == 2 * 7 * attention &&
              w[1].flops[SLT_STEP_ATTENTION] == 2 * 9 * attention,
          "attention");
    CHECK(w[0].bytes[SLT_STEP_ACTIVATION] == 2 * 4 * l * t * 8 * f, "activation");
    CHECK(w[0].bytes[SLT_STEP_NORMS] == 2 * 4 * t * d * 8 * (2 * l + 1), "norms");
    CHECK(w[1].bytes[SLT_STEP_NORMS] == 2 * 4 * t * d * (12 * 2 * l + 8), "norms again");
    CHECK(w[0].bytes[SLT_STEP_LOSS] == 2 * (t * v * 24 + 12 * t * d + 8 * v * d), "loss");
    CHECK(w[0].bytes[SLT_STEP_SPARSE] == 0 && w[0].flops[SLT_STEP_SPARSE] == 0, "sparse");
    CHECK(w[0].bytes[SLT_STEP_UPDATE] == 8 * 4 * (double)plan.parameters, "%.17g bytes in updates",
          w[0].bytes[SLT_STEP_UPDATE]);
    // What takes longer counts: a GPU that computes in no time waits for its memory.
    const struct slt_gpu gpu = {"none", 1e12, 1e30}, other = {"none", 1e30, 1e12};
    CHECK(slt_gpu_seconds(&gpu, &w[0], SLT_STEP_NORMS) == w[0].bytes[SLT_STEP_NORMS] / .85e12 &&
              slt_gpu_seconds(&other, &w[0], SLT_STEP_PRODUCTS) ==
                  w[0].flops[SLT_STEP_PRODUCTS] / .62e12,
          "seconds");
}

// The marks at their limits.
static void test_marks(void)
{
    struct slt_published row = {.millions = 10, .giga = 1, .kind = SLT_PRINTED_ESTIMATE};
    const struct slt_estimate exact = {.parameters = 10400000, .weights = 1000000000};
    struct slt_estimate e = exact;
    CHECK(strcmp(slt_published_mark(&row, &e), "-") == 0, "equal");
    e.weights = 1019000000;
    CHECK(strcmp(slt_published_mark(&row, &e), "-") == 0, ".019");
    e.weights = 979000000;
    CHECK(strcmp(slt_published_mark(&row, &e), "deviates") == 0, "-.021");
    e = exact;
    e.parameters = 10600000;
    CHECK(strcmp(slt_published_mark(&row, &e), "deviates") == 0, "parameters");
    e = exact;
    e.weights = 111000000;
    row.giga = .1;
    CHECK(strcmp(slt_published_mark(&row, &e), "deviates") == 0, "11%%");
    row.kind = SLT_PRINTED_TARGET;
    CHECK(strcmp(slt_published_mark(&row, &e), "missed") == 0, "target");
    row.giga = .111;
    CHECK(strcmp(slt_published_mark(&row, &e), "met") == 0, "target");
}

int main(void)
{
    struct slt_device *device;
    struct slt_error err;
    if (slt_device_open(&device, "cpu", 1, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    test_paper();
    test_8bit();
    test_index(device);
    test_flops(device);
    test_runs();
    test_mixed(device);
    test_work(device);
    test_marks();
    slt_device_close(device);
    return TEST_END();
}
