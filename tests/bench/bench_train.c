// Whole optimizer steps, interleaved: full-rank and SLTrain at the same shape, next to oneDNN's
// GEMM rate.
//
// usage: bench_train PRESET LAYERS TOKENS THREADS PAIRS   (LAYERS 0: the preset's)
// Prints name<TAB>value lines: the full-rank step's model FLOP rate over the sgemm rate, the ratio
// of tokens/s, and the share of a step spent on data; medians over the pairs with the lower and
// upper quartile. A run whose own GEMM rate varied by more than 10% between its quartiles is marked
// void.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "slt/random.h"
#include "slt/support.h"
#include "training.h"

#define SEQ       256
#define MAX_PAIRS 101

struct subject {
    struct slt_config config;
    struct slt_trainer *trainer;
    double seconds[MAX_PAIRS], data[MAX_PAIRS];
};

static void die(const struct slt_error *err)
{
    fprintf(stderr, "bench_train: %s\n", err->message);
    exit(1);
}

// A token file of random ids, long enough for every step to see new ones.
static void write_tokens(const char *path, uint32_t vocab, int64_t tokens)
{
    struct slt_error err;
    struct slt_output *out;
    struct slt_tokens_writer *writer;
    const struct slt_tokens_header header = {.vocab_size = vocab, .eos = 1, .pad = SLT_TOKEN_NONE};
    const struct slt_random_key key = slt_random_key("bench", "tokens", 1);
    uint32_t ids[1024];
    if (slt_output_open(&out, path, NULL, &err) != 0 ||
        slt_tokens_create(&writer, out, &header, &err) != 0)
        die(&err);
    for (int64_t at = 0; at < tokens; at += 1024) {
        for (uint32_t i = 0; i < 1024; i += 4) {
            slt_random_block(ids + i, key, (uint64_t)at + i, 0);
            for (int k = 0; k < 4; k++)
                ids[i + (uint32_t)k] = 2 + ids[i + (uint32_t)k] % (vocab - 2);
        }
        if (slt_tokens_append(writer, ids, 1024, 4096, &err) != 0)
            die(&err);
    }
    if (slt_tokens_finish(writer, NULL, &err) != 0 || slt_output_publish(out, &err) != 0)
        die(&err);
}

// Small deterministic weights: the values do not matter for speed as long as they are ordinary
// numbers.
static void fill_weights(struct slt_model *m)
{
    enum { CHUNK = 1 << 16 };
    float *values = malloc(CHUNK * sizeof *values);
    for (int p = 0; p < m->part_count; p++) {
        const struct slt_tensor t = m->part[p].value;
        const struct slt_random_key key = slt_random_key("bench", "weights", (uint64_t)p);
        for (int64_t at = 0; at < t.rows * t.cols; at += CHUNK) {
            const int64_t left = t.rows * t.cols - at, n = left < CHUNK ? left : CHUNK;
            slt_random_uniform(values, key, (uint64_t)at, (size_t)n, 0.03f);
            slt_tensor_write(m, t, at, values, n);
        }
    }
    free(values);
}

static void create(struct subject *s, struct slt_device *device, struct slt_tokens *tokens,
                   int64_t batch)
{
    struct slt_error err;
    struct slt_train_options options;
    slt_train_defaults(&options);
    options.steps = 1000000;
    options.batch = options.micro_batch = batch;
    options.seq = SEQ;
    options.lr = 1e-4;
    if (s->config.method == SLT_SLTRAIN &&
        slt_support_crc(&s->config.support_crc, &s->config, &err) != 0)
        die(&err);
    if (make_trainer(&s->trainer, device, &s->config, tokens, &options, &err) != 0)
        die(&err);
    fill_weights(s->trainer->model);
}

static void step(struct subject *s, int i)
{
    struct slt_error err;
    struct slt_train_record record;
    if (slt_trainer_step(s->trainer, &record, NULL, &err) != 0)
        die(&err);
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

int main(int argc, char **argv)
{
    static struct subject full, sparse;
    static double gemm[MAX_PAIRS], rate[MAX_PAIRS], ratio[MAX_PAIRS], speed[MAX_PAIRS];
    struct slt_error err;
    struct slt_device *device;
    struct slt_input *in;
    struct slt_tokens *tokens;
    if (argc != 6) {
        fprintf(stderr, "usage: bench_train PRESET LAYERS TOKENS THREADS PAIRS\n");
        return 2;
    }
    const int64_t batch = atoll(argv[3]) / SEQ;
    const int threads = atoi(argv[4]),
              pairs = atoi(argv[5]) < MAX_PAIRS ? atoi(argv[5]) : MAX_PAIRS;
    char path[] = "/tmp/bench-train-XXXXXX";
    if (slt_config_preset(&full.config, argv[1], &err) != 0)
        die(&err);
    if (atoi(argv[2]) > 0)
        full.config.num_hidden_layers = atoi(argv[2]);
    sparse.config = full.config;
    sparse.config.method = SLT_SLTRAIN;
    sparse.config.rank = full.config.hidden_size / 4;
    sparse.config.alpha = 16;
    sparse.config.density = 0.03;
    sparse.config.support.kind = SLT_SUPPORT_RANDOM;
    if (mkstemp(path) < 0)
        return 1;
    write_tokens(path, (uint32_t)full.config.vocab_size, 4000000);
    if (slt_device_open(&device, "cpu", threads, &err) != 0 ||
        slt_input_open(&in, path, NULL, &err) != 0 || slt_tokens_open(&tokens, in, &err) != 0)
        die(&err);
    unlink(path);
    create(&full, device, tokens, batch);
    create(&sparse, device, tokens, batch);
    bench_threads(threads);
    step(&full, -1);
    step(&sparse, -1);
    for (int i = 0; i < pairs; i++) {
        const double before = bench_sgemm_rate();
        step(&full, i);
        const double after = bench_sgemm_rate();
        step(&sparse, i);
        gemm[i] = (before + after) / 2;
        const double flops = flops_per_token(&full.config) * (double)(batch * SEQ);
        rate[i] = flops / full.seconds[i] * 1e-9 / gemm[i];
        ratio[i] = full.seconds[i] / sparse.seconds[i];
        speed[i] = (double)(batch * SEQ) / full.seconds[i];
    }
    printf("# %s, %lld layers, %lld tokens a step, %s\n", argv[1],
           (long long)full.config.num_hidden_layers, (long long)(batch * SEQ),
           slt_device_describe(device));
    printf("# name\tmedian\tlower quartile\tupper quartile\n");
    print("sgemm 2048^3 GFLOP/s", gemm, pairs);
    print("full-rank tokens/s", speed, pairs);
    print("full-rank step FLOP/s over sgemm", rate, pairs);
    print("sltrain over full-rank tokens/s", ratio, pairs);
    print("share of a full-rank step spent on data", full.data, pairs);
    if (bench_quantile(gemm, pairs, 0.75) > 1.1 * bench_quantile(gemm, pairs, 0.25))
        printf("# void: the GEMM rate itself varied by more than 10%%\n");
    slt_trainer_free(full.trainer);
    slt_trainer_free(sparse.trainer);
    slt_tokens_close(tokens);
    slt_device_close(device);
    return 0;
}
