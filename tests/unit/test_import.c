// Hugging Face directories as others write them: tensors that are not of the model, of any type and
// shape, names with wrappers in them, models without their heads, and what is refused.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "core/bytes.h"
#include "slt/convert.h"

#define SIZES                                                                                      \
    "{\"vocab_size\": 3, \"hidden_size\": 4, \"intermediate_size\": 2, \"num_hidden_layers\": 1, " \
    "\"num_attention_heads\": 1"

enum { HEADER = 1 << 14, DATA = 1 << 14, SAID = 4000 };

// A directory in the making, and what importing it said.
struct directory {
    char path[40], config[300];
    char header[HEADER]; // the JSON, without the closing brace
    char data[DATA];
    size_t used;
    char ignored[SAID], renamed[SAID];
    int renamings, more; // tensors left out that are not named
};

static void write_file(const char *directory, const char *name, const void *data, size_t bytes)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0, "%s", path);
}

// Appends a tensor: its description with the place that so many bytes of data get.
static void add(struct directory *d, const char *name, const char *type, const char *shape,
                const void *data, size_t bytes)
{
    const size_t at = strlen(d->header);
    snprintf(d->header + at, HEADER - at,
             "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
             at > 1 ? "," : "", name, type, shape, d->used, d->used + bytes);
    if (bytes > 0)
        memcpy(d->data + d->used, data, bytes);
    d->used += bytes;
}

// Value i of parameter p.
static float value_of(size_t p, int64_t i)
{
    return (float)((int)p * 8 - (int)i) / 8;
}

// A model of this configuration: names with begin before them, and without their first skip
// characters; the tensors whose names end with special are of that type, with bytes of an element.
static void start(struct directory *d, const char *config, const char *begin, size_t skip,
                  const char *special, const char *type, size_t size)
{
    struct slt_error err;
    struct slt_config c;
    struct slt_param_info *params = NULL;
    size_t count = 0;
    *d = (struct directory){.path = "/tmp/slt-test-import-XXXXXX", .header = "{"};
    CHECK(mkdtemp(d->path) != NULL, "mkdtemp");
    snprintf(d->config, sizeof d->config, "%s}", config);
    CHECK_OK(slt_config_parse(&c, "c", d->config, strlen(d->config), &err), err);
    CHECK_OK(slt_config_params(&c, &params, &count, &err), err);
    for (size_t p = 0; p < count; p++) {
        const int64_t n = params[p].rows * params[p].cols;
        const size_t length = strlen(params[p].name), tail = special != NULL ? strlen(special) : 0;
        const bool is_special =
            tail > 0 && length >= tail && strcmp(params[p].name + length - tail, special) == 0;
        char name[200], shape[60], data[1000];
        const bool has_model = strncmp(params[p].name, "model.", 6) == 0;
        const bool is_outside = !has_model && strncmp(begin, "model.", 6) == 0;
        snprintf(name, sizeof name, "%s%s", is_outside ? "" : begin,
                 params[p].name + (has_model ? skip : 0));
        snprintf(shape, sizeof shape, params[p].is_vector ? "[%lld]" : "[%lld,%lld]",
                 (long long)(params[p].is_vector ? params[p].cols : params[p].rows),
                 (long long)params[p].cols);
        for (int64_t i = 0; i < n; i++) {
            const float single = value_of(p, i);
            const double wide = (double)single;
            if (is_special)
                memcpy(data + (size_t)i * size, &wide, size);
            else
                memcpy(data + (size_t)i * sizeof single, &single, sizeof single);
        }
        add(d, name, is_special ? type : "F32", shape, data,
            (size_t)n * (is_special ? size : sizeof(float)));
    }
    free(params);
}

// Keeps the names in a sentence about a tensor left out, or about other names.
static void on_note(void *user, const char *sentence)
{
    struct directory *d = user;
    const char *end = strstr(sentence, "' is not of this model, and left out");
    char name[201], other[201];
    if (end != NULL && strncmp(sentence, "tensor '", 8) == 0) {
        const size_t at = strlen(d->ignored);
        snprintf(d->ignored + at, SAID - at, "%.*s|", (int)(end - sentence - 8), sentence + 8);
    } else if (sscanf(sentence, "tensors have other names: '%200[^']' is taken as '%200[^']'", name,
                      other) == 2) {
        d->renamings++;
        snprintf(d->renamed, SAID, "%s as %s", name, other);
    } else {
        CHECK(sscanf(sentence, "%d more tensors are not of this model", &d->more) == 1, "%s",
              sentence);
    }
}

// Imports it to a file, whose values must be the model's.
static int import(struct directory *d, struct slt_error *err)
{
    struct slt_output *out;
    struct slt_input *in;
    struct slt_checkpoint_reader *reader = NULL;
    enum slt_section section;
    const struct slt_tensor_info *info;
    static char file[HEADER + DATA + 8];
    char path[60];
    const struct slt_convert_options options = {
        .on_note = on_note, .user = d};
    strcat(d->header, "}");
    const size_t header = strlen(d->header);
    slt_store_u64(file, header);
    memcpy(file + 8, d->header, header);
    memcpy(file + 8 + header, d->data, d->used);
    write_file(d->path, "model.safetensors", file, 8 + header + d->used);
    write_file(d->path, "config.json", d->config, strlen(d->config));
    snprintf(path, sizeof path, "%s/out.slt", d->path);
    *err = (struct slt_error){0};
    CHECK_OK(slt_output_open(&out, path, NULL, err), *err);
    int rc = slt_convert_import(out, d->path, &options, err);
    if (rc != 0) {
        slt_output_abandon(out);
        return rc;
    }
    CHECK_OK(slt_output_publish(out, err), *err);
    CHECK_OK(slt_input_open(&in, path, NULL, err), *err);
    CHECK_OK(slt_checkpoint_open(&reader, in, err), *err);
    for (size_t p = 0; slt_checkpoint_next(reader, &section, &info, err) == 1; p++) {
        float value;
        for (int64_t i = 0; i < (int64_t)info->bytes / 4; i++) {
            CHECK_OK(slt_checkpoint_read(reader, &value, sizeof value, err), *err);
            CHECK(value == value_of(p, i), "%s: value %d is %g", info->name, (int)i, (double)value);
        }
    }
    slt_checkpoint_close(reader);
    unlink(path);
    return 0;
}

static void remove_directory(struct directory *d)
{
    static const char *const names[] = {"model.safetensors", "config.json"};
    char path[100];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", d->path, names[i]);
        unlink(path);
    }
    rmdir(d->path);
}

static void expect(struct directory *d, const char *what, const char *ignored, const char *renamed)
{
    struct slt_error err;
    CHECK(import(d, &err) == 0, "%s: %s", what, err.message);
    CHECK(strcmp(d->ignored, ignored) == 0, "%s: ignored %s", what, d->ignored);
    CHECK(strcmp(d->renamed, renamed) == 0 && d->renamings == (*renamed != '\0'),
          "%s: renamed %d times, %s", what, d->renamings, d->renamed);
    remove_directory(d);
}

static void expect_refused(struct directory *d, const char *what, const char *sentence)
{
    struct slt_error err;
    const int rc = import(d, &err);
    CHECK(rc == SLT_ERR_FORMAT && strstr(err.message, sentence) != NULL, "%s: %d %s", what, rc,
          err.message);
    remove_directory(d);
}

static void check_ignored(void)
{
    static const struct {
        const char *name, *type, *shape;
        size_t bytes;
    } extra[] = {
        {"a", "BOOL", "[1,1,3,3]", 9},
        {"a", "U8", "[3]", 3},
        {"a", "U16", "[3]", 6},
        {"a", "U32", "[3]", 12},
        {"a", "U64", "[3]", 24},
        {"a", "I8", "[3]", 3},
        {"a", "I16", "[3]", 6},
        {"a", "I32", "[3]", 12},
        {"a", "I64", "[3]", 24},
        {"a", "F64", "[3]", 24},
        {"a", "F8_E4M3", "[3]", 3},
        {"a", "F8_E5M2", "[3]", 3},
        {"a", "F4", "[5]", 3},
        {"a", "C64", "[3]", 24},
        {"a", "a type that nobody has thought of yet", "[3]", 7},
        {"a", "F32", "[1,1,1,1,1,2]", 8},
        {"a", "BOOL", "[1,1,1,1,1,1,2]", 2},
        {"a", "F32", "[]", 4},
        {"a", "BOOL", "[]", 1},
        {"a", "F32", "[0]", 0},
        {"a", "F8_E4M3", "[5,0,3]", 0},
        {"", "F32", "[1]", 4},
        {"\xc3\xa4 \\\" \\\\ \\u001b", "F32", "[1]", 4},
        {"model.layers.0.self_attn.rotary_emb.inv_freq", "F32", "[2]", 8},
        {"model.layers.0.self_attn.masked_bias", "F32", "[]", 4},
        {"model.layers.7.mlp.up_proj.weight", "F8_E4M3", "[2,4]", 8},
    };
    static const char zeros[100];
    struct directory d;
    char want[500];
    for (size_t i = 0; i < sizeof extra / sizeof *extra; i++) {
        start(&d, SIZES, "", 0, NULL, NULL, 0);
        add(&d, extra[i].name, extra[i].type, extra[i].shape, zeros, extra[i].bytes);
        add(&d, "behind", "F32", "[1]", zeros, 4);
        if (extra[i].name[0] == '\xc3')
            snprintf(want, sizeof want, "behind|\xc3\xa4 \" \\ ?|");
        else
            snprintf(want, sizeof want,
                     strcmp(extra[i].name, "b") < 0 ? "%s|behind|" : "behind|%s|", extra[i].name);
        expect(&d, extra[i].type, want, "");
    }
    // One of a length that no parameter has: the sentence about it has its beginning.
    char name[400];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    start(&d, SIZES, "", 0, NULL, NULL, 0);
    add(&d, name, "F32", "[1]", zeros, 4);
    snprintf(want, sizeof want, "%.200s|", name);
    expect(&d, "a long name", want, "");
    // Metadata of any kind says nothing.
    static const char *const metadata[] = {"null", "{}", "{\"a\":1,\"b\":[2]}", "[]", "7"};
    for (size_t i = 0; i < sizeof metadata / sizeof *metadata; i++) {
        start(&d, SIZES, "", 0, NULL, NULL, 0);
        const size_t at = strlen(d.header);
        snprintf(d.header + at, HEADER - at, ",\"__metadata__\":%s", metadata[i]);
        expect(&d, metadata[i], "", "");
    }
}

static void check_names(void)
{
    static const struct {
        const char *begin;
        size_t skip;
        const char *renamed;
    } cases[] = {
        {"", 0, ""},
        {"module.", 0, "module.lm_head.weight as lm_head.weight"},
        {"_orig_mod.", 0, "_orig_mod.lm_head.weight as lm_head.weight"},
        {"module._orig_mod.", 0, "module._orig_mod.lm_head.weight as lm_head.weight"},
        {"_orig_mod.module.", 0, "_orig_mod.module.lm_head.weight as lm_head.weight"},
        {"module.module.", 0, "module.module.lm_head.weight as lm_head.weight"},
        {"", 6, "embed_tokens.weight as model.embed_tokens.weight"},
        {"module.", 6, "module.lm_head.weight as lm_head.weight"},
        {"model._orig_mod.", 6, "model._orig_mod.embed_tokens.weight as model.embed_tokens.weight"},
    };
    struct directory d;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(&d, SIZES, cases[i].begin, cases[i].skip, NULL, NULL, 0);
        expect(&d, cases[i].begin, "", cases[i].renamed);
    }
    start(&d, SIZES ", \"slt\": {\"method\": \"lowrank\", \"rank\": 2, \"alpha\": 4, \"seed\": 1}",
          "module._orig_mod.", 0, NULL, NULL, 0);
    expect(&d, "factors", "", "module._orig_mod.lm_head.weight as lm_head.weight");
}

// A model whose embeddings are tied has no head, as the base model of any has none.
static void check_heads(void)
{
    static const char zeros[16];
    struct directory d;
    start(&d, SIZES ", \"tie_word_embeddings\": true", "", 6, NULL, NULL, 0);
    expect(&d, "tied", "", "embed_tokens.weight as model.embed_tokens.weight");
    start(&d, SIZES ", \"tie_word_embeddings\": true", "module.", 0, NULL, NULL, 0);
    float copy[12];
    for (int i = 0; i < 12; i++)
        copy[i] = value_of(0, i);
    add(&d, "module.lm_head.weight", "F32", "[3,4]", copy, sizeof copy);
    expect(&d, "tied, with a copy", "", "module.lm_head.weight as lm_head.weight");
    start(&d, SIZES ", \"tie_word_embeddings\": true", "", 0, "embed_tokens.weight", "F64", 8);
    add(&d, "lm_head.weight", "F32", "[3,4]", copy, sizeof copy);
    expect(&d, "tied, with a copy of another type", "", "");
    static const struct {
        const char *type, *shape;
        size_t bytes;
    } others[] = {{"F32", "[3,4]", 48}, {"F64", "[3,4]", 96}, {"F32", "[4,3]", 48},
                  {"F32", "[12]", 48},  {"I8", "[3,4]", 12},  {"F32", "[3,1]", 12},
                  {"F32", "[0]", 0}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        start(&d, SIZES ", \"tie_word_embeddings\": true", "", 0, NULL, NULL, 0);
        char data[96] = {0};
        if (i > 0) // the same bytes in another shape or type
            memcpy(data, copy, sizeof copy);
        add(&d, "lm_head.weight", others[i].type, others[i].shape, data, others[i].bytes);
        expect_refused(&d, "tied, with another head",
                       "(tie_word_embeddings), but 'lm_head.weight' and "
                       "'model.embed_tokens.weight' differ");
    }
    start(&d, SIZES ", \"tie_word_embeddings\": true", "", 6, NULL, NULL, 0);
    snprintf(d.config, sizeof d.config, SIZES "}");
    expect_refused(&d, "no head",
                   "tensor 'lm_head.weight' is missing: the model was saved without");
    start(&d, SIZES, "", 0, NULL, NULL, 0);
    add(&d, "module.model.norm.weight", "F32", "[4]", zeros, 16);
    expect_refused(&d, "two names for one", "tensor 'model.norm.weight' twice");
    start(&d, SIZES, "", 0, NULL, NULL, 0);
    add(&d, "module.step", "I64", "[]", zeros, 8);
    add(&d, "step", "I64", "[]", zeros, 8);
    expect(&d, "two names for one that is not of the model", "module.step|step|", "");
}

// Many tensors are not all named, and one that is missing is said beside one that is there.
static void check_told(void)
{
    static const char zeros[16];
    struct directory d;
    for (int count = 10; count <= 13; count++) {
        char name[20], want[200] = "";
        start(&d, SIZES, "", 0, NULL, NULL, 0);
        for (int i = 0; i < count; i++) {
            snprintf(name, sizeof name, "extra%02d", i);
            add(&d, name, "F32", "[1]", zeros, 4);
            if (i < 10)
                strcat(strcat(want, name), "|");
        }
        d.more = count;
        expect(&d, "many", want, "");
        CHECK(d.more == (count > 10 ? count - 10 : count), "%d: %d more", count, d.more);
    }
    start(&d, SIZES, "model.model.", 6, NULL, NULL, 0);
    expect_refused(&d, "all with another name",
                   "tensor 'model.embed_tokens.weight' is missing: found names such as "
                   "'lm_head.weight'");
    start(&d, SIZES, "", 0, NULL, NULL, 0);
    strcpy(d.header, "{");
    d.used = 0;
    expect_refused(&d, "none", "' has no tensors");
    static const char *const shapes[] = {"[1,4]", "[2,2]"};
    for (int i = 0; i < 2; i++) {
        start(&d, SIZES ", \"tie_word_embeddings\": true", "", 0, NULL, NULL, 0);
        char *norm = strstr(d.header, "model.norm.weight"), *shape = strstr(norm, "[4]");
        memmove(shape + 5, shape + 3, strlen(shape + 3) + 1);
        memcpy(shape, shapes[i], 5);
        expect_refused(&d, "a norm of two dimensions",
                       "'model.norm.weight' does not have the shape (4) that config.json asks for");
    }
}

static void check_types(void)
{
    static const struct {
        const char *type;
        size_t size;
        const char *sentence;
    } cases[] = {
        {"F8_E4M3", 1,
         "'model.layers.0.mlp.up_proj.weight' has type F8_E4M3, and only F32, F16, "
         "BF16 and F64 are read"},
        {"I8", 1, "has type I8, and only F32, F16, BF16 and F64 are read"},
        {"U64", 8, "has type U64, and only"},
        {"F4", 1, "has type F4, and only"},
        {"BOOL", 1, "has type BOOL, and only"},
    };
    struct directory d;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(&d, SIZES, "", 0, "up_proj.weight", cases[i].type, cases[i].size);
        expect_refused(&d, cases[i].type, cases[i].sentence);
    }
    start(&d, SIZES, "", 0, "weight", "F64", 8);
    expect(&d, "F64", "", "");
}

// Damage is no tensor of another kind.
static void check_damage(void)
{
    static const char zeros[16];
    struct directory d;
    start(&d, SIZES, "", 0, NULL, NULL, 0);
    d.used -= 4;
    add(&d, "a", "F8_E4M3", "[4]", zeros, 4);
    expect_refused(&d, "overlap", "tensor 'a' begins at byte");
    start(&d, SIZES, "", 0, NULL, NULL, 0);
    d.used += 4;
    add(&d, "a", "F8_E4M3", "[4]", zeros, 4);
    expect_refused(&d, "gap", "tensor 'a' begins at byte");
    start(&d, SIZES, "", 0, NULL, NULL, 0);
    add(&d, "a", "F8_E4M3", "[4]", zeros, 8);
    d.used -= 4;
    expect_refused(&d, "beyond the end", "beyond the data");
    start(&d, SIZES, "", 0, NULL, NULL, 0);
    add(&d, "a", "I64", "[1,1,1,1,2]", zeros, 12);
    expect_refused(&d, "a wrong size", "needs 16 bytes");
    start(&d, SIZES, "", 0, NULL, NULL, 0);
    add(&d, "a", "F4", "[-1]", zeros, 1);
    expect_refused(&d, "a negative size", "has a bad shape");
    start(&d, SIZES, "", 0, NULL, NULL, 0);
    add(&d, "a", "F4", "7", zeros, 1);
    expect_refused(&d, "no shape", "is not described by");
}

int main(void)
{
    check_ignored();
    check_names();
    check_heads();
    check_told();
    check_types();
    check_damage();
    return TEST_END();
}
