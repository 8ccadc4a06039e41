// Half-precision numbers; the three versions of llama2.c's files; and a small real model from a
// Hugging Face directory: its logits, losses and greedy tokens, computed by others in float64.
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

// ---- llama2.c ----

// Width, MLP, layers, heads, heads of keys, vocabulary, positions; values that share a scale.
enum { D = 16, F = 12, LAYERS = 2, HEADS = 2, KV = 1, VOCAB = 5, POSITIONS = 3, GROUP = 8 };

// A file in the making.
struct file {
    unsigned char data[40000];
    size_t bytes;
};

static void put(struct file *f, const void *data, size_t bytes)
{
    memcpy(f->data + f->bytes, data, bytes);
    f->bytes += bytes;
}

// Value i of the kind's matrix of a layer: a number of 8 bits times the scale of its group.
static int code_of(int kind, int layer, int i)
{
    return (kind * 31 + layer * 57 + i * 7) % 255 - 127;
}

static float scale_of(int kind, int group)
{
    return (float)(1 + kind + group % 5) / 64;
}

// n values of a kind, and where they are a matrix of version 2 with their scales.
static void put_values(struct file *f, int kind, int layer, int n, bool as_codes)
{
    for (int i = 0; i < n; i++) {
        const signed char code = (signed char)code_of(kind, layer, i);
        const float value = (float)code * scale_of(kind, i / GROUP);
        put(f, as_codes ? (const void *)&code : (const void *)&value, as_codes ? 1 : sizeof value);
    }
    for (int g = 0; as_codes && g < n / GROUP; g++) {
        const float scale = scale_of(kind, g);
        put(f, &scale, sizeof scale);
    }
}

// The kinds as export.py of llama2.c names them, with the sizes of a layer's.
enum { EMB, ATT_NORM, WQ, WK, WV, WO, FFN_NORM, W1, W2, W3, LAST_NORM, FREQS, OUT };

static void put_kind(struct file *f, int version, int kind)
{
    static const int sizes[] = {[EMB] = VOCAB * D,
                                [ATT_NORM] = D,
                                [WQ] = D * D,
                                [WK] = D * D / HEADS * KV,
                                [WV] = D * D / HEADS * KV,
                                [WO] = D * D,
                                [FFN_NORM] = D,
                                [W1] = F * D,
                                [W2] = F * D,
                                [W3] = F * D,
                                [LAST_NORM] = D,
                                [FREQS] = POSITIONS * D / HEADS,
                                [OUT] = VOCAB * D};
    const bool is_one = kind == EMB || kind == LAST_NORM || kind == FREQS || kind == OUT;
    const bool is_gain = kind == ATT_NORM || kind == FFN_NORM || kind == LAST_NORM;
    for (int layer = 0; layer < (is_one ? 1 : LAYERS); layer++)
        put_values(f, kind, layer, sizes[kind], version == 2 && !is_gain);
}

static void make_llama2c(struct file *f, int version, bool tied)
{
    static const int orders[2][13] = {
        {EMB, ATT_NORM, WQ, WK, WV, WO, FFN_NORM, W1, W2, W3, LAST_NORM, FREQS, OUT},
        {ATT_NORM, FFN_NORM, LAST_NORM, EMB, WQ, WK, WV, WO, W1, W2, W3, OUT}};
    const int32_t sizes[7] = {
        D, F, LAYERS, HEADS, KV, version == 0 && !tied ? -VOCAB : VOCAB, POSITIONS};
    const uint32_t magic = 0x616b3432, group = GROUP;
    const unsigned char shared = tied;
    *f = (struct file){0};
    if (version > 0) {
        put(f, &magic, 4);
        put(f, &version, 4);
    }
    put(f, sizes, sizeof sizes);
    if (version > 0) {
        put(f, &shared, 1);
        put(f, &group, version == 2 ? 4 : 0);
        f->bytes = 256;
    }
    for (int i = 0; i < (version == 0 ? 13 : 12); i++)
        if (orders[version > 0][i] != OUT || !tied)
            put_kind(f, version, orders[version > 0][i]);
}

// The checkpoint of a file, in memory that the caller frees.
static void *convert_llama2c(const struct file *f, size_t *bytes)
{
    struct slt_error err;
    struct slt_output *out;
    void *data = NULL;
    char path[] = "/tmp/slt-test-XXXXXX";
    const struct slt_convert_options none = {0};
    const int fd = mkstemp(path);
    CHECK(fd >= 0, "%s", path);
    close(fd);
    CHECK(slt_convert_is_llama2c(f->data, f->bytes), "%zu bytes", f->bytes);
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_convert_llama2c(out, "f", f->data, f->bytes, &none, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    CHECK_OK(slt_file_read(&data, bytes, path, 1 << 20, NULL, &err), err);
    unlink(path);
    return data;
}

// q_proj of layer 1 and down_proj of layer 0, and the configuration.
static void check_llama2c_values(void *data, size_t bytes, bool tied)
{
    struct slt_error err;
    struct slt_input *in;
    struct slt_checkpoint_reader *reader;
    enum slt_section section;
    const struct slt_tensor_info *info;
    float value;
    int tensors = 0;
    CHECK_OK(slt_input_memory(&in, "m", data, bytes, &err), err);
    CHECK_OK(slt_checkpoint_open(&reader, in, &err), err);
    const struct slt_config *c = slt_checkpoint_config(reader);
    CHECK(c->hidden_size == D && c->num_key_value_heads == KV && c->rms_norm_eps == 1e-5 &&
              c->max_position_embeddings == POSITIONS && c->tie_word_embeddings == tied,
          "tied %d", tied);
    for (; slt_checkpoint_next(reader, &section, &info, &err) == 1; tensors++) {
        const bool is_q = strcmp(info->name, "model.layers.1.self_attn.q_proj.weight") == 0;
        const bool is_down = strcmp(info->name, "model.layers.0.mlp.down_proj.weight") == 0;
        for (int i = 0; (is_q || is_down) && i < (int)info->bytes / 4; i++) {
            // Row h dim + j half + k of Hugging Face's is row h dim + 2 k + j there.
            const int dim = D / HEADS, half = dim / 2, row = i / D, in_head = row % dim;
            const int there = row - in_head + 2 * (in_head % half) + in_head / half;
            const int at = is_q ? there * D + i % D : i, kind = is_q ? WQ : W2;
            const float want = (float)code_of(kind, is_q, at) * scale_of(kind, at / GROUP);
            CHECK_OK(slt_checkpoint_read(reader, &value, sizeof value, &err), err);
            CHECK(value == want, "%s: value %d is %g, not %g", info->name, i, (double)value,
                  (double)want);
        }
    }
    CHECK(tensors == 2 + LAYERS * 9 + !tied, "%d tensors", tensors);
    slt_checkpoint_close(reader);
}

static void refuse_llama2c(const struct file *f, const struct slt_tokenizer *tokenizer,
                           const char *sentence)
{
    struct slt_error err = {0};
    struct slt_output *out;
    const struct slt_convert_options options = {.tokenizer = tokenizer};
    CHECK_OK(slt_output_open(&out, "/dev/null", NULL, &err), err);
    CHECK(slt_convert_llama2c(out, "f", f->data, f->bytes, &options, &err) == SLT_ERR_FORMAT &&
              strstr(err.message, sentence) != NULL,
          "%s", err.message);
    slt_output_abandon(out);
}

// A tokenizer that has more tokens than the model has rows.
static void check_llama2c_tokenizer(void)
{
    static struct file f;
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_error err;
    make_llama2c(&f, 0, true);
    CHECK_OK(slt_tokenizer_open(&tokenizer, "tests/vectors/tokenizer-bytes.json", NULL, &err), err);
    refuse_llama2c(&f, tokenizer, "tokens, the model rows for ");
    slt_tokenizer_free(tokenizer);
}

static void check_llama2c(void)
{
    static struct file f;
    for (int tied = 0; tied < 2; tied++) {
        size_t bytes[3];
        void *data[3];
        for (int version = 0; version < 3; version++) {
            make_llama2c(&f, version, tied);
            data[version] = convert_llama2c(&f, &bytes[version]);
            CHECK(bytes[version] == bytes[0] && memcmp(data[version], data[0], bytes[0]) == 0,
                  "version %d, tied %d", version, tied);
        }
        check_llama2c_values(data[0], bytes[0], tied);
        for (int version = 0; version < 3; version++)
            free(data[version]);
    }
    make_llama2c(&f, 2, true);
    f.bytes--;
    CHECK(slt_convert_is_llama2c(f.data, f.bytes), "it says what it is");
    refuse_llama2c(&f, NULL, "'f' is a model file of llama2.c, but not of the size");
    f.data[4] = 3;
    refuse_llama2c(&f, NULL,
                   "'f' is a model file of llama2.c of version 3, and versions 0 to 2 are read");
    make_llama2c(&f, 0, true);
    f.bytes++;
    refuse_llama2c(&f, NULL, "'f' is a model file of llama2.c, but not of the size");
    f.data[0] = 15; // no multiple of its heads
    CHECK(!slt_convert_is_llama2c(f.data, f.bytes), "nothing says what it is");
    refuse_llama2c(&f, NULL, "'f' is no model file of llama2.c");
}

int main(void)
{
    const char *shared = getenv("SLT_SHARED");
    check_halves();
    check_llama2c();
    check_llama2c_tokenizer();
    check_golden(shared != NULL ? shared : "../shared");
    return TEST_END();
}
