// Replays a small corpus through the fuzz targets: good-* must be taken, bad-* refused.
//
// `test_corpus write DIR` writes the corpus to DIR/TARGET for each target, as seeds for
// tests/fuzz/run; `test_corpus replay TARGET FILE...` replays others, such as an input that
// libFuzzer found.
#define _GNU_SOURCE // memfd_create, of fuzz_lines.c
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LLVMFuzzerTestOneInput fuzz_checkpoint
#include "tests/fuzz/fuzz_checkpoint.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_tokens
#include "tests/fuzz/fuzz_tokens.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "tests/fuzz/fuzz_safetensors.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_config
#include "tests/fuzz/fuzz_config.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_llama2c
#include "tests/fuzz/fuzz_llama2c.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_lines
#include "tests/fuzz/fuzz_lines.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_tokenizer_json
#include "tests/fuzz/fuzz_tokenizer_json.c"
#undef LLVMFuzzerTestOneInput

#include "check.h"

typedef int reader_function(const uint8_t *data, size_t size);

static const struct target {
    const char *name;
    reader_function *read;
} targets[] = {
    {"checkpoint", fuzz_read_checkpoint},
    {"tokens", fuzz_read_tokens},
    {"safetensors", fuzz_read_safetensors},
    {"config", fuzz_read_config},
    {"llama2c", fuzz_read_llama2c},
    {"lines", fuzz_read_lines},
    {"tokenizer_json", fuzz_read_tokenizer_json},
};

// Where the corpus goes: a folder, or the readers themselves.
struct sink {
    const char *folder;
    size_t files;
};

static void emit(struct sink *s, const struct target *t, const char *name, const void *data,
                 size_t bytes)
{
    s->files++;
    if (s->folder == NULL) {
        const bool good = strncmp(name, "good-", 5) == 0;
        CHECK((t->read(data, bytes) == 0) == good, "%s/%s is %s", t->name, name,
              good ? "refused" : "taken");
        return;
    }
    char path[500];
    snprintf(path, sizeof path, "%s/%s", s->folder, t->name);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", s->folder, t->name, name);
    struct slt_output *out = NULL;
    struct slt_error err;
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    if (out == NULL)
        return;
    CHECK_OK(slt_output_write(out, data, bytes, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
}

#include "seeds_lines.h"

// Emits a good file, its frame, and what must not pass for it.
static void emit_variants(struct sink *s, const struct target *t, const char *name,
                          const uint8_t *data, size_t bytes)
{
    char full[100];
    uint8_t *copy = malloc(bytes + 512);
    const size_t bound = ZSTD_compressBound(bytes);
    uint8_t *frame = malloc(bound);
    snprintf(full, sizeof full, "good-%s", name);
    emit(s, t, full, data, bytes);
    const size_t packed = ZSTD_compress(frame, bound, data, bytes, 3);
    snprintf(full, sizeof full, "good-%s-zstd", name);
    emit(s, t, full, frame, packed);
    snprintf(full, sizeof full, "bad-%s-zstd-cut", name);
    emit(s, t, full, frame, packed - 3);
    snprintf(full, sizeof full, "bad-%s-half", name);
    emit(s, t, full, data, bytes / 2);
    snprintf(full, sizeof full, "bad-%s-short", name);
    emit(s, t, full, data, bytes - 1);
    memcpy(copy, data, bytes);
    memset(copy + bytes, 'x', 512);
    snprintf(full, sizeof full, "bad-%s-long", name);
    emit(s, t, full, copy, bytes + 512);
    for (int part = 0; part < 4; part++) {
        memcpy(copy, data, bytes);
        copy[bytes / 4 * (size_t)part + 5] ^= 0x11;
        snprintf(full, sizeof full, "bad-%s-flip%d", name, part);
        emit(s, t, full, copy, bytes);
    }
    free(frame);
    free(copy);
}

// The bytes of an output that was written to a temporary file.
static uint8_t *take_file(char *path, size_t *bytes)
{
    void *data = NULL;
    struct slt_error err;
    CHECK_OK(slt_file_read(&data, bytes, path, (size_t)1 << 20, NULL, &err), err);
    unlink(path);
    return data;
}

static uint8_t *make_checkpoint(char *path, bool with_all, size_t *bytes)
{
    static const struct slt_tensor_info model[] = {{"w", SLT_F32, 2, {3, 5}, 60},
                                                   {"n", SLT_BF16, 1, {7}, 14}};
    static const struct slt_tensor_info state = {"w.exp_avg", SLT_F32, 2, {3, 5}, 60};
    static const char zeros[74];
    struct slt_config config;
    struct slt_checkpoint_writer *w = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    CHECK_OK(slt_config_preset(&config, "nano", &err), err);
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_checkpoint_create(&w, out, &config, "tokenizer.model", with_all ? "tok" : NULL, 3,
                                   &err),
             err);
    CHECK_OK(slt_checkpoint_begin(w, SLT_SECTION_MODEL, NULL, model, 2, &err), err);
    CHECK_OK(slt_checkpoint_write(w, zeros, 74, &err), err);
    if (with_all) {
        CHECK_OK(slt_checkpoint_begin(w, SLT_SECTION_OPTIMIZER, "{}", &state, 1, &err), err);
        CHECK_OK(slt_checkpoint_write(w, zeros, 60, &err), err);
    }
    CHECK_OK(slt_checkpoint_finish(w, with_all ? "{\"tool\":\"x\"}\n" : NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    return take_file(path, bytes);
}

// The final norm of the nano preset as codes: 128 values in blocks of 50.
static uint8_t *make_quantized(char *path, enum slt_quant_type type, size_t *bytes)
{
    const bool packed = type == SLT_QUANT_NF4;
    const struct slt_tensor_info model[] = {
        {"model.norm.weight.absmax", SLT_F32, 1, {3}, 12},
        {"model.norm.weight",
         type == SLT_QUANT_INT8 ? SLT_I8 : SLT_U8,
         1,
         {packed ? 64 : 128},
         packed ? 64 : 128},
    };
    static const float absmax[3] = {1, 0, 1e30f};
    uint8_t codes[128];
    struct slt_config config;
    struct slt_checkpoint_writer *w = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    for (int i = 0; i < 128; i++)
        codes[i] = (uint8_t)(i * 37);
    CHECK_OK(slt_config_preset(&config, "nano", &err), err);
    config.quantization = (struct slt_quantization){type, 50};
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_checkpoint_create(&w, out, &config, NULL, NULL, 0, &err), err);
    CHECK_OK(slt_checkpoint_begin(w, SLT_SECTION_MODEL, NULL, model, 2, &err), err);
    CHECK_OK(slt_checkpoint_write(w, absmax, sizeof absmax, &err), err);
    CHECK_OK(slt_checkpoint_write(w, codes, (size_t)model[1].bytes, &err), err);
    CHECK_OK(slt_checkpoint_finish(w, NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    return take_file(path, bytes);
}

static uint8_t *make_tokens(char *path, uint32_t vocab, uint32_t eos, int documents, size_t *bytes)
{
    const struct slt_tokens_header header = {
        .vocab_size = vocab, .eos = eos, .pad = SLT_TOKEN_NONE};
    struct slt_tokens_writer *w = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_tokens_create(&w, out, &header, &err), err);
    for (int n = 0; n < documents; n++) {
        const uint32_t ids[3] = {(uint32_t)n % 50 + 3, vocab - 1, 5};
        CHECK_OK(slt_tokens_append(w, ids, (size_t)n % 4, 10, &err), err);
    }
    CHECK_OK(slt_tokens_finish(w, NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    return take_file(path, bytes);
}

static void make_safetensors(struct sink *s)
{
    // All before 8 bytes of data.
    static const struct {
        const char *name, *json;
    } files[] = {
        {"good-one", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
        {"good-two", "{\"__metadata__\":{\"format\":\"pt\"},"
                     "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[4,8]},"
                     "\"a\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[0,4]}}"},
        {"good-empty-tensor", "{\"a\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
                              "\"e\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[8,8]}}"},
        {"bad-overlap", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                        "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}"},
        {"bad-gap", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}"},
        {"bad-type", "{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}"},
        {"bad-shape", "{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,3],"
                      "\"data_offsets\":[0,8]}}"},
        {"bad-twice", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                      "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
        {"bad-json", "{\"a\":"},
        // Of other programs.
        {"bad-many", "{\"__metadata__\":null,\"a\":{\"dtype\":\"F4\",\"shape\":[1,1,1,1,16],"
                     "\"data_offsets\":[0,8]},"
                     "\"\\u00e4\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[8,8]}}"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        uint8_t file[600] = {0};
        const size_t length = strlen(files[i].json);
        slt_store_u64(file, length);
        memcpy(file + 8, files[i].json, length);
        emit(s, &targets[2], files[i].name, file, 8 + length + 8);
        slt_store_u64(file, length + 9);
        emit(s, &targets[2], "bad-length", file, 8 + length + 8);
    }
    emit(s, &targets[2], "bad-short", "1234567", 7);
}

#define SIZES                                                                                      \
    "\"vocab_size\": 7, \"hidden_size\": 4, \"intermediate_size\": 6, \"num_hidden_layers\": 1, "  \
    "\"num_attention_heads\": 2"

static void make_configs(struct sink *s)
{
    static const struct {
        const char *name, *text;
    } files[] = {
        {"good-plain", "{" SIZES "}"},
        {"good-grouped",
         "{" SIZES
         ", \"num_key_value_heads\": 1, \"rope_theta\": 5e5, \"tie_word_embeddings\": true, "
         "\"rms_norm_eps\": 1e-5, \"eos_token_id\": 2, \"rope_scaling\": null}"},
        {"good-sltrain",
         "{" SIZES
         ", \"slt\": {\"method\": \"sltrain\", \"rank\": 2, \"alpha\": 1.5, \"density\": 0.25, "
         "\"support\": \"block:2x2\", \"support_scheme\": \"slt-support-1\", \"support_crc32\": 1, "
         "\"seed\": -3}}"},
        {"good-explicit",
         "{" SIZES
         ", \"slt\": {\"method\": \"sltrain\", \"rank\": 2, \"alpha\": 1, \"density\": 1, "
         "\"support\": \"explicit\", \"seed\": 1}}"},
        {"good-layers",
         "{" SIZES
         ", \"slt\": {\"method\": \"sltrain\", \"rank\": 2, \"alpha\": 1, \"density\": 0.5, "
         "\"support\": \"explicit\", \"layers\": [{\"layers\": [0, 0], \"groups\": [\"o\"], "
         "\"method\": \"full\"}, {\"layers\": [0, 0], \"groups\": [\"qkv\", \"gate_up\", "
         "\"down\"], \"rank\": 3, \"density\": 0.3}], \"seed\": 1}}"},
        {"bad-layers",
         "{" SIZES ", \"slt\": {\"method\": \"lowrank\", \"rank\": 2, \"alpha\": 1, \"layers\": "
         "[{\"layers\": [0, 0], \"rank\": 1}, {\"layers\": [0, 0], \"method\": \"full\"}]}}"},
        {"good-quantized",
         "{" SIZES
         ", \"slt\": {\"method\": \"full\", \"seed\": 1, \"quantization\": {\"type\": \"nf4\", "
         "\"block\": 64}}}"},
        {"good-linear", "{" SIZES ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5}}"},
        {"good-llama3",
         "{" SIZES ", \"rope_parameters\": {\"rope_theta\": 5e5, \"rope_type\": \"llama3\", "
         "\"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4, "
         "\"original_max_position_embeddings\": 64}}"},
        {"bad-scaled", "{" SIZES ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}}"},
        {"bad-partial", "{" SIZES ", \"partial_rotary_factor\": 0.5}"},
        {"good-python", "{" SIZES ", \"x\": [NaN, -Infinity, 1000000000000000019884624838656], "
                        "\"s\": \"\\\"NaN\"}"},
        {"bad-nan", "{" SIZES ", \"rms_norm_eps\": NaN}"},
        {"bad-heads", "{" SIZES ", \"num_key_value_heads\": 3}"},
        {"bad-twice", "{" SIZES ", \"vocab_size\": 7}"},
        {"bad-huge", "{" SIZES ", \"head_dim\": 1000000000000}"},
        {"bad-support",
         "{" SIZES
         ", \"slt\": {\"method\": \"sltrain\", \"rank\": 2, \"alpha\": 1, \"density\": 1, "
         "\"support\": \"round\", \"seed\": 1}}"},
        {"bad-empty", ""},
        {"bad-list", "[]"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        emit(s, &targets[3], files[i].name, files[i].text, strlen(files[i].text));
}

static void make_llama2c(struct sink *s)
{
    // d 4, f 6, 1 layer, 2 heads of 2, 1 kv head, vocabulary 7, 3 positions; tied, and not.
    static const int32_t header[7] = {4, 6, 1, 2, 1, 7, 3};
    const size_t floats = 7 * 4 + 4 + 16 + 8 + 8 + 16 + 4 + 3 * 24 + 4 + 3 * 2;
    uint8_t file[2000] = {0};
    for (int i = 0; i < 7; i++)
        slt_store_u32(file + 4 * i, (uint32_t)header[i]);
    const size_t tied = 28 + 4 * floats;
    emit(s, &targets[4], "good-tied", file, tied);
    emit(s, &targets[4], "bad-short", file, tied - 1);
    emit(s, &targets[4], "bad-long", file, tied + 4);
    emit(s, &targets[4], "bad-header", file, 20);
    slt_store_u32(file + 20, (uint32_t)-7);
    emit(s, &targets[4], "good-untied", file, tied + 4 * 28);
    emit(s, &targets[4], "bad-untied", file, tied);
    slt_store_u32(file + 12, 0);
    emit(s, &targets[4], "bad-no-heads", file, tied + 4 * 28);
    // Versions 1 and 2, the latter with a scale for each 4 values; the gains are 12 floats.
    const size_t values = 7 * 4 + 16 + 8 + 8 + 16 + 3 * 24;
    memset(file, 0, sizeof file);
    slt_store_u32(file, 0x616b3432);
    for (uint32_t version = 1; version <= 2; version++) {
        const size_t all = 256 + 4 * 12 + (version == 1 ? 4 * values : values + values);
        slt_store_u32(file + 4, version);
        for (int i = 0; i < 7; i++)
            slt_store_u32(file + 8 + 4 * i, (uint32_t)header[i]);
        file[36] = 1;
        slt_store_u32(file + 37, version == 2 ? 4 : 0);
        emit(s, &targets[4], version == 1 ? "good-1" : "good-2", file, all);
        emit(s, &targets[4], "bad-cut", file, all - 1);
        file[36] = 0;
        emit(s, &targets[4], "bad-head", file, all);
    }
    slt_store_u32(file + 37, 5);
    emit(s, &targets[4], "bad-group", file, 256 + 4 * 12 + values + values);
    slt_store_u32(file + 4, 3);
    emit(s, &targets[4], "bad-version", file, 300);
}

static void make_corpus(struct sink *s)
{
    static const struct {
        const char *name;
        uint32_t vocab, eos;
        int documents;
    } tokens[] = {{"narrow", 100, 2, 10},
                  {"wide", 70000, 2, 10},
                  {"no-eos", 100, SLT_TOKEN_NONE, 10},
                  {"many", 100, 2, 600},
                  {"none", 100, 2, 0}};
    char folder[] = "/tmp/slt-test-corpus-XXXXXX", path[100];
    size_t bytes = 0;
    if (mkdtemp(folder) == NULL) {
        CHECK(false, "no temporary folder");
        return;
    }
    snprintf(path, sizeof path, "%s/file", folder);
    for (int with_all = 0; with_all < 2; with_all++) {
        uint8_t *data = make_checkpoint(path, with_all, &bytes);
        emit_variants(s, &targets[0], with_all ? "state" : "model", data, bytes);
        free(data);
    }
    for (int type = SLT_QUANT_NONE + 1; type < SLT_QUANT_TYPES; type++) {
        uint8_t *data = make_quantized(path, (enum slt_quant_type)type, &bytes);
        emit_variants(s, &targets[0], slt_quant_name((enum slt_quant_type)type), data, bytes);
        free(data);
    }
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        uint8_t *data =
            make_tokens(path, tokens[i].vocab, tokens[i].eos, tokens[i].documents, &bytes);
        emit_variants(s, &targets[1], tokens[i].name, data, bytes);
        free(data);
    }
    make_safetensors(s);
    make_configs(s);
    make_llama2c(s);
    rmdir(folder);
}

static int replay(int count, char **arguments)
{
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
        for (int i = 1; i < count && strcmp(arguments[0], targets[t].name) == 0; i++) {
            void *data = NULL;
            size_t bytes = 0;
            struct slt_error err;
            CHECK_OK(slt_file_read(&data, &bytes, arguments[i], (size_t)1 << 30, NULL, &err), err);
            printf("%s: %s\n", arguments[i], targets[t].read(data, bytes) == 0 ? "good" : "bad");
            free(data);
        }
    }
    return TEST_END();
}

// A tokenizer.json around these parts; ids 0 to 255 are bytes, in the order of ByteLevel's letters.
static void emit_tokenizer(struct sink *s, const char *name, const char *root, const char *model)
{
    static const char head[] =
        "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": "
        "false, \"use_regex\": true}, \"normalizer\": null";
    char *text = malloc(1 << 14), *to = text;
    to += sprintf(to, "%s%s, \"model\": {\"type\": \"BPE\"%s, \"vocab\": {", head, root, model);
    for (int byte = 0, other = 256; byte < 256; byte++) {
        const bool plain = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
        const int c = plain ? byte : other++;
        const char *quote = c == '"' || c == '\\' ? "\\" : "";
        to += c < 128 ? sprintf(to, "\"%s%c\": %d, ", quote, c, byte)
                      : sprintf(to, "\"%c%c\": %d, ", 0xc0 | c >> 6, 0x80 | (c & 63), byte);
    }
    to += sprintf(to, "\"th\": 256, \"the\": 257}}}");
    emit(s, &targets[6], name, text, (size_t)(to - text));
    free(text);
}

static void make_tokenizers(struct sink *s)
{
#define MERGES ", \"merges\": [[\"t\", \"h\"], \"th e\"]"
    static const struct {
        const char *name, *root, *model;
    } files[] = {
        {"good-plain", "", MERGES},
        {"good-added",
         ", \"added_tokens\": [{\"id\": 258, \"content\": \"<|endoftext|>\", \"special\": true}, "
         "{\"id\": 300, \"content\": \"b \", \"lstrip\": true, \"rstrip\": true, "
         "\"single_word\": true, \"normalized\": true}]",
         ", \"unk_token\": \"the\", \"ignore_merges\": true" MERGES},
        {"good-processor",
         ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
         "{\"id\": \"th\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}]}",
         MERGES},
        {"bad-twice", ", \"normalizer\": null", MERGES},
        {"bad-two-models", ", \"model\": {}", MERGES},
        {"bad-merge", "", ", \"merges\": [\"t e\"]"},
        {"bad-merges", "", ", \"merges\": [\"the\"]"},
        {"bad-id", "", ", \"merges\": [[\"t\", 5]]"},
        {"bad-unknown", "", ", \"unk_token\": \"nothing\"" MERGES},
        {"bad-added", ", \"added_tokens\": [{\"id\": -1, \"content\": \"x\"}]", MERGES},
        {"bad-huge-id", ", \"added_tokens\": [{\"id\": 4000000000, \"content\": \"x\"}]", MERGES},
    };
#undef MERGES
    static const char whole[] =
        "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, "
        "{\"type\": \"Prepend\", \"prepend\": \"_\"}, {\"type\": \"Replace\", \"pattern\": "
        "{\"String\": \" \"}, \"content\": \"_\"}]}, \"pre_tokenizer\": {\"type\": \"Sequence\", "
        "\"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
        "\"\\\\p{L}+|[^a-z\\\\s]|\\\\s+(?!x)\"}, \"behavior\": \"MergedWithNext\", \"invert\": "
        "true}, {\"type\": \"Digits\", \"individual_digits\": true}]}, \"model\": {\"type\": "
        "\"BPE\", "
        "\"byte_fallback\": true, \"fuse_unk\": true, \"unk_token\": \"u\", \"vocab\": {\"u\": 0, "
        "\"a\": 1, \"_\": 2, \"_a\": 3, \"<0x0A>\": 4, \"\\u0000\": 5}, \"merges\": [\"_ a\"]}}";
    static const char spaces[] =
        "{\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\xe2\x96\x81\", "
        "\"prepend_scheme\": \"first\", \"split\": true}, \"model\": {\"byte_fallback\": true, "
        "\"vocab\": {\"\xe2\x96\x81\": 0, \"e\": 1, \"\xe2\x96\x81"
        "e\": 2}, "
        "\"merges\": [[\"\xe2\x96\x81\", \"e\"]]}}";
    static const char no_bytes[] = "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}";
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        emit_tokenizer(s, files[i].name, files[i].root, files[i].model);
    emit(s, &targets[6], "good-whole", whole, sizeof whole - 1);
    emit(s, &targets[6], "good-spaces", spaces, sizeof spaces - 1);
    emit(s, &targets[6], "bad-no-bytes", no_bytes, sizeof no_bytes - 1);
    emit(s, &targets[6], "bad-half", whole, sizeof whole / 2);
    emit(s, &targets[6], "bad-empty", whole, 0);
}

// A line, or a paragraph, that is too long is passed over and counted; those around it stay.
static void check_too_long(void)
{
    static const char text[] = "{\"text\": \"one\"}\n{\"text\": \"far too long for a line\"}\n"
                               "{\"text\": \"two\"}\n";
    static const char paragraphs[] = "one\n\nfar too long\nfor a paragraph\nof twenty\n\ntwo\n";
    for (int i = 0; i < 2; i++) {
        char path[] = "/tmp/slt-test-lines-XXXXXX";
        const char *const paths[] = {path};
        const struct slt_corpus_options options = {.format =
                                                       i == 0 ? SLT_CORPUS_JSONL : SLT_CORPUS_TEXT,
                                                   .document = SLT_DOCUMENT_BLANK,
                                                   .longest = 20};
        struct slt_corpus *corpus = NULL;
        struct slt_error err;
        const char *found;
        size_t bytes;
        const int fd = mkstemp(path);
        const char *data = i == 0 ? text : paragraphs;
        CHECK(write(fd, data, strlen(data)) == (ssize_t)strlen(data), "%s", path);
        close(fd);
        CHECK_OK(slt_corpus_open(&corpus, paths, 1, &options, &err), err);
        CHECK(slt_corpus_next(corpus, &found, &bytes, &err) == 1 && bytes == 3 &&
                  memcmp(found, "one", 3) == 0,
              "the first of %d", i);
        CHECK(slt_corpus_next(corpus, &found, &bytes, &err) == 1 && bytes == 3 &&
                  memcmp(found, "two", 3) == 0,
              "the last of %d", i);
        CHECK(slt_corpus_next(corpus, &found, &bytes, &err) == 0, "the end of %d", i);
        const uint64_t *skipped = slt_corpus_counts(corpus)->skipped;
        CHECK(skipped[SLT_SKIP_TOO_LONG] == 1 && skipped[SLT_SKIP_NO_JSON] == 0, "the counts of %d",
              i);
        CHECK(strncmp(slt_corpus_first_skip(corpus, SLT_SKIP_TOO_LONG),
                      i == 0 ? "line 2 of " : "line 3 of ", 10) == 0,
              "the place of %d: %s", i, slt_corpus_first_skip(corpus, SLT_SKIP_TOO_LONG));
        slt_corpus_close(corpus);
        unlink(path);
    }
}

// ---- Memory ----

// simdjson has its memory from these two operators of C++; larger blocks are refused.
static size_t largest_block = SIZE_MAX;
void *_ZnwmRKSt9nothrow_t(size_t bytes, const void *tag);
void *_ZnamRKSt9nothrow_t(size_t bytes, const void *tag);
extern void *_Znwm(size_t bytes);
extern void *_Znam(size_t bytes);

void *_ZnwmRKSt9nothrow_t(size_t bytes, const void *tag)
{
    return bytes <= largest_block ? _Znwm(bytes) : NULL;
}

void *_ZnamRKSt9nothrow_t(size_t bytes, const void *tag)
{
    return bytes <= largest_block ? _Znam(bytes) : NULL;
}

// A line that there is no memory for is no bad line.
static void check_no_memory(void)
{
    static const char line[] = "{\"text\": \"a document\"}\n";
    const struct slt_corpus_options options = {.format = SLT_CORPUS_JSONL};
    char path[] = "/tmp/slt-test-corpus-XXXXXX";
    const char *paths[] = {path}, *text = NULL;
    const int fd = mkstemp(path);
    size_t bytes = 0;
    int rc = 0, refused = 0;
    CHECK(fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line) && close(fd) == 0,
          "a line");
    for (size_t most = 16; most < (size_t)1 << 30 && rc <= 0; most += most / 4) {
        struct slt_corpus *corpus = NULL;
        struct slt_error err = {0};
        CHECK_OK(slt_corpus_open(&corpus, paths, 1, &options, &err), err);
        largest_block = most;
        rc = slt_corpus_next(corpus, &text, &bytes, &err);
        largest_block = SIZE_MAX;
        CHECK(rc == 1 || rc == SLT_ERR_MEMORY, "with blocks of %zu bytes: %d", most, rc);
        refused += rc == SLT_ERR_MEMORY;
        slt_corpus_close(corpus);
    }
    CHECK(rc == 1 && refused > 2, "refused %d times", refused);
    unlink(path);
}

int main(int argc, char **argv)
{
    struct sink sink = {NULL, 0};
    if (argc > 3 && strcmp(argv[1], "replay") == 0)
        return replay(argc - 2, argv + 2);
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        sink.folder = argv[2];
    make_corpus(&sink);
    make_lines(&sink);
    make_tokenizers(&sink);
    check_too_long();
    check_no_memory();
    CHECK(sink.files > 80, "only %zu files", sink.files);
    return TEST_END();
}
