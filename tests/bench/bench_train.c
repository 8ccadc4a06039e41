// Whole optimizer steps, interleaved: full-rank and SLTrain with each kind of support at the same
// shape, next to oneDNN's GEMM rate.
//
// usage: bench_train PRESET LAYERS TOKENS THREADS PAIRS [ISA]
//     LAYERS 0: the preset's; ISA: avx512, avx2 or plain
// Prints name<TAB>value lines: the full-rank step's model FLOP rate over the sgemm rate, the ratios
// of tokens/s, and the share of a step spent on data; medians over the pairs with the lower and
// upper quartile. A run whose own GEMM rate varied by more than 10% between its quartiles is marked
// void.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "device/memory.h"
#include "slt/support.h"
#include "training.h"

#define SEQ       256
#define MAX_PAIRS 101

// The supports that are measured against full rank: of single positions, of bands of 16 rows, of
// bands whose positions follow each other as well.
static const char *const supports[] = {"random", "block:16x1", "block:16x16"};
enum { SUPPORTS = sizeof supports / sizeof supports[0] };

struct subject {
    struct slt_config config;
    struct slt_trainer *trainer;
    double seconds[MAX_PAIRS], data[MAX_PAIRS];
    double ratio[MAX_PAIRS]; // of its tokens/s to full rank's
};

// What the paper trains at the shape of a full-rank configuration.
static struct slt_config sltrain_config(const struct slt_config *full, const char *support)
{
    struct slt_error err;
    struct slt_config c = *full;
    c.method = SLT_SLTRAIN;
    c.rank = full->hidden_size / 4;
    c.alpha = 16;
    c.density = 0.03;
    if (slt_support_parse(&c.support, support, &err) != 0 ||
        slt_support_crc(&c.support_crc, &c, &err) != 0)
        bench_die(&err);
    return c;
}

static void create(struct subject *s, const struct slt_device *device, struct slt_tokens *tokens,
                   int64_t batch)
{
    struct slt_error err;
    struct slt_train_options options;
    slt_train_defaults(&options);
    options.steps = 1000000;
    options.batch = options.micro_batch = batch;
    options.seq = SEQ;
    options.lr = 1e-4;
    if (make_trainer(&s->trainer, device, &s->config, tokens, &options, &err) != 0)
        bench_die(&err);
    bench_fill_weights(s->trainer->model);
}

static void step(struct subject *s, int i)
{
    struct slt_error err;
    struct slt_train_record record;
    if (slt_trainer_step(s->trainer, &record, NULL, &err) != 0)
        bench_die(&err);
    if (i >= 0) {
        s->seconds[i] = record.seconds;
        s->data[i] = record.data_seconds / record.seconds;
    }
}

// FLOPs of a full-rank step per token: 6 per weight of a GEMM, causal attention 6 L d a layer.
static double flops_per_token(const struct slt_config *c)
{
    const double d = (double)c->hidden_size, f = (double)c->intermediate_size;
    const double layers = (double)c->num_hidden_layers;
    return 6 * (layers * (4 * d * d + 3 * d * f) + (double)c->vocab_size * d) +
           layers * 6 * SEQ * d;
}

static void print(const char *name, double *values, int n)
{
    const double low = bench_quantile(values, n, 0.25), high = bench_quantile(values, n, 0.75);
    printf("%s\t%.3f\t%.3f\t%.3f\n", name, bench_quantile(values, n, 0.5), low, high);
}

// One step of full rank and one of each support, and what they come to.
static void measure(struct subject *full, struct subject *sparse, int i, double *gemm)
{
    const double before = bench_sgemm_rate();
    step(full, i);
    *gemm = (before + bench_sgemm_rate()) / 2;
    for (int k = 0; k < SUPPORTS; k++) {
        step(&sparse[k], i);
        sparse[k].ratio[i] = full->seconds[i] / sparse[k].seconds[i];
    }
}

// Times full rank and each support on one device in turn.
static void compare(struct subject *full, struct subject *sparse, double tokens, int pairs)
{
    static double gemm[MAX_PAIRS], rate[MAX_PAIRS], speed[MAX_PAIRS];
    step(full, -1);
    for (int k = 0; k < SUPPORTS; k++)
        step(&sparse[k], -1);
    for (int i = 0; i < pairs; i++) {
        measure(full, sparse, i, &gemm[i]);
        speed[i] = tokens / full->seconds[i];
        rate[i] = flops_per_token(&full->config) * speed[i] * 1e-9 / gemm[i];
    }
    printf("# name\tmedian\tlower quartile\tupper quartile\n");
    print("sgemm 2048^3 GFLOP/s", gemm, pairs);
    print("full-rank tokens/s", speed, pairs);
    print("full-rank step FLOP/s over sgemm", rate, pairs);
    for (int k = 0; k < SUPPORTS; k++) {
        char name[64];
        snprintf(name, sizeof name, "sltrain %s over full-rank tokens/s", supports[k]);
        print(name, sparse[k].ratio, pairs);
    }
    print("share of a full-rank step spent on data", full->data, pairs);
    if (bench_quantile(gemm, pairs, 0.75) > 1.1 * bench_quantile(gemm, pairs, 0.25))
        printf("# void: the GEMM rate itself varied by more than 10%%\n");
}

int main(int argc, char **argv)
{
    static struct subject full, sparse[SUPPORTS];
    struct slt_error err;
    struct slt_tokens *tokens;
    if (argc != 6 && argc != 7) {
        fprintf(stderr, "usage: bench_train PRESET LAYERS TOKENS THREADS PAIRS [ISA]\n");
        return 2;
    }
    const int64_t batch = atoll(argv[3]) / SEQ;
    const int threads = atoi(argv[4]),
              pairs = atoi(argv[5]) < MAX_PAIRS ? atoi(argv[5]) : MAX_PAIRS;
    struct slt_device device = {.ops = bench_ops(argc > 6 ? argv[6] : NULL), .threads = threads};
    if (slt_config_preset(&full.config, argv[1], &err) != 0)
        bench_die(&err);
    if (atoi(argv[2]) > 0)
        full.config.num_hidden_layers = atoi(argv[2]);
    tokens = bench_tokens(full.config.vocab_size, 4000000);
    if (device.ops->open(&device.ctx, &(struct slt_ops_options){.threads = threads}, &err) != 0)
        bench_die(&err);
    create(&full, &device, tokens, batch);
    for (int k = 0; k < SUPPORTS; k++) {
        sparse[k].config = sltrain_config(&full.config, supports[k]);
        create(&sparse[k], &device, tokens, batch);
    }
    bench_threads(threads);
    printf("# %s, %lld layers, %lld tokens a step, %s\n", argv[1],
           (long long)full.config.num_hidden_layers, (long long)(batch * SEQ),
           device.ops->describe(device.ctx, device.text, sizeof device.text));
    compare(&full, sparse, (double)(batch * SEQ), pairs);
    slt_trainer_free(full.trainer);
    for (int k = 0; k < SUPPORTS; k++)
        slt_trainer_free(sparse[k].trainer);
    slt_tokens_close(tokens);
    device.ops->close(device.ctx);
    return 0;
}
