// Configurations as Hugging Face writes them: what is read, what is refused and with which words,
// and the frequencies of rotary positions.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "config/rope.h"

#define SIZES                                                                                      \
    "\"vocab_size\": 32, \"hidden_size\": 64, \"intermediate_size\": 96, "                         \
    "\"num_hidden_layers\": 1, \"num_attention_heads\": 4, \"max_position_embeddings\": 256"
#define LLAMA3                                                                                     \
    "\"factor\": 8, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4, "                           \
    "\"original_max_position_embeddings\": 64"

static int parse(struct slt_config *c, const char *json, struct slt_error *err)
{
    *err = (struct slt_error){0};
    return slt_config_parse(c, "c.json", json, strlen(json), err);
}

// Text with SIZES in front of what is given.
static const char *with_sizes(char *text, size_t size, const char *rest)
{
    snprintf(text, size, "{" SIZES "%s%s}", *rest != '\0' ? ", " : "", rest);
    return text;
}

// ---- Rotary positions ----

// The frequencies that transformers 5.24.0 computes (LlamaRotaryEmbedding's inv_freq, F32), for
// what it reads in these texts; 4.57 has the same wherever it knows the keys.
static void check_rope_reading(void)
{
    static const struct {
        const char *text;
        double frequency[4]; // of i = 1, 2, 3, 7
    } cases[] = {
        {"", {0.316228, 0.1, 0.0316228, 0.000316228}},
        {"\"rope_parameters\": {}", {0.316228, 0.1, 0.0316228, 0.000316228}},
        {"\"rope_parameters\": null", {0.316228, 0.1, 0.0316228, 0.000316228}},
        {"\"rope_theta\": null", {0.316228, 0.1, 0.0316228, 0.000316228}},
        {"\"rope_parameters\": {\"rope_theta\": 500000.0}",
         {0.193923, 0.037606, 0.00729267, 1.03134e-05}},
        {"\"rope_theta\": 20000, \"rope_parameters\": {\"type\": \"default\"}",
         {0.289982, 0.0840896, 0.0243845, 0.000172424}},
        {"\"rope_theta\": 20000, \"rope_scaling\": {\"type\": \"default\"}",
         {0.289982, 0.0840896, 0.0243845, 0.000172424}},
        {"\"rope_theta\": 20000, \"rope_scaling\": {\"rope_type\": \"default\"}",
         {0.289982, 0.0840896, 0.0243845, 0.000172424}},
        {"\"rope_theta\": 20000, \"rope_scaling\": {}",
         {0.289982, 0.0840896, 0.0243845, 0.000172424}},
        {"\"rope_theta\": 20000, \"rope_scaling\": {\"rope_type\": null}",
         {0.289982, 0.0840896, 0.0243845, 0.000172424}},
        {"\"rope_theta\": 20000, \"rope_scaling\": {\"factor\": 4}",
         {0.289982, 0.0840896, 0.0243845, 0.000172424}},
        {"\"rope_theta\": 20000, \"rope_scaling\": {}, \"rope_parameters\": {\"rope_theta\": 5e5}",
         {0.193923, 0.037606, 0.00729267, 1.03134e-05}},
        {"\"rope_scaling\": {\"rope_type\": \"default\"}, "
         "\"rope_parameters\": {\"rope_theta\": 5e5}",
         {0.316228, 0.1, 0.0316228, 0.000316228}},
        {"\"rope_theta\": 777, "
         "\"rope_scaling\": {\"rope_type\": \"default\", \"rope_theta\": 20000.0}",
         {0.289982, 0.0840896, 0.0243845, 0.000172424}},
        {"\"rope_theta\": 20000, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 4.0}",
         {0.0724955, 0.0210224, 0.00609612, 4.31061e-05}},
        {"\"rope_theta\": 20000, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}",
         {0.0724955, 0.0210224, 0.00609612, 4.31061e-05}},
        {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0.5}",
         {0.632456, 0.2, 0.0632456, 0.000632456}},
        {"\"rope_theta\": 20000, \"rope_scaling\": {\"rope_type\": \"llama3\", " LLAMA3 "}",
         {0.201491, 0.0105112, 0.00304806, 2.15531e-05}},
        {"\"rope_theta\": 20000, \"rope_scaling\": {\"type\": \"llama3\", " LLAMA3 "}",
         {0.201491, 0.0105112, 0.00304806, 2.15531e-05}},
        {"\"rope_parameters\": {\"rope_theta\": 20000, \"rope_type\": \"llama3\", " LLAMA3 "}",
         {0.201491, 0.0105112, 0.00304806, 2.15531e-05}},
        {"\"original_max_position_embeddings\": 128, \"rope_theta\": 20000, "
         "\"rope_scaling\": {\"rope_type\": \"llama3\", " LLAMA3 "}",
         {0.289982, 0.0279998, 0.00304806, 2.15531e-05}},
    };
    static const int at[] = {1, 2, 3, 7};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000], *written = NULL;
        struct slt_config c, again;
        struct slt_error err;
        CHECK_OK(parse(&c, with_sizes(text, sizeof text, cases[i].text), &err), err);
        for (int k = 0; k < 4; k++) {
            const double f = slt_rope_frequency(&c, at[k]), want = cases[i].frequency[k];
            CHECK(fabs(f - want) <= 1e-5 * want, "%s: frequency %d is %g, not %g", cases[i].text,
                  at[k], f, want);
        }
        CHECK_OK(slt_config_write(&c, &written, &err), err);
        CHECK_OK(parse(&again, written, &err), err);
        for (int k = 0; k < 4; k++)
            CHECK(slt_rope_frequency(&c, at[k]) == slt_rope_frequency(&again, at[k]),
                  "%s: written and read again", cases[i].text);
        CHECK((strstr(written, "\"rope_scaling\"") != NULL) ==
                  (c.rope_scaling.type != SLT_ROPE_DEFAULT),
              "%s becomes %s", cases[i].text, written);
        free(written);
    }
}

// transformers' inv_freq (F32) of Llama 3.1 8B and 3.2 1B, and of linear scaling: on both sides of
// the two edges between short, middle and long wavelengths.
static void check_frequencies(void)
{
    static const struct {
        int64_t head_dim;
        double theta;
        struct slt_rope_scaling scaling;
        struct {
            int64_t i;
            double frequency;
        } value[10];
    } cases[] = {
        {128,
         5e5,
         {SLT_ROPE_LLAMA3, 8, 1, 4, 8192},
         {{1, 0.814617217},
          {28, 0.00321144611},
          {29, 0.00216657063},
          {30, 0.00137189368},
          {33, 0.00031269365},
          {34, 0.000178507791},
          {35, 9.55621217e-05},
          {36, 7.78465546e-05},
          {63, 3.06892588e-07}}},
        {64,
         5e5,
         {SLT_ROPE_LLAMA3, 32, 1, 4, 8192},
         {{5, 0.128687382},
          {14, 0.00321144611},
          {15, 0.00129054801},
          {16, 0.000429556705},
          {17, 9.70828623e-05},
          {18, 1.94616387e-05},
          {31, 9.41830649e-08}}},
        {128, 1e4, {SLT_ROPE_LINEAR, 4, 0, 0, 0}, {{1, 0.216491088}, {63, 2.88695483e-05}}},
        {128, 1e4, {0}, {{1, 0.865964353}, {63, 0.000115478193}}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct slt_config c = {.head_dim = cases[i].head_dim,
                                     .rope_theta = cases[i].theta,
                                     .rope_scaling = cases[i].scaling};
        CHECK(slt_rope_frequency(&c, 0) == (cases[i].scaling.type == SLT_ROPE_LINEAR ? 0.25 : 1),
              "case %zu: the first one", i);
        for (int k = 0; k < 10 && cases[i].value[k].i > 0; k++) {
            const double f = slt_rope_frequency(&c, cases[i].value[k].i);
            CHECK(fabs(f / cases[i].value[k].frequency - 1) <= 2e-6,
                  "case %zu: frequency %d is %.9g, not %.9g", i, (int)cases[i].value[k].i, f,
                  cases[i].value[k].frequency);
        }
    }
}

// ---- What is refused ----

static void check_refused(void)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}",
         "\"rope_scaling.rope_type\" is \"yarn\", and only the types default, linear and llama3 "
         "are "
         "supported"},
        {"\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 4}",
         "\"rope_scaling.type\" is \"dynamic\", and only"},
        {"\"rope_parameters\": {\"rope_type\": \"longrope\", \"rope_theta\": 1e4}",
         "\"rope_parameters.rope_type\" is \"longrope\", and only"},
        {"\"rope_scaling\": {\"rope_type\": 3}", "\"rope_scaling.rope_type\" is no string"},
        {"\"rope_scaling\": [1]", "\"rope_scaling\" is no object"},
        {"\"rope_scaling\": {\"rope_type\": \"linear\"}", "\"rope_scaling.factor\" is missing"},
        {"\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": null}",
         "\"rope_scaling.factor\" is missing"},
        {"\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": \"2\"}",
         "\"rope_scaling.factor\" is no number"},
        {"\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 0}",
         "rope_scaling.factor 0 is outside (0, 1e+06]"},
        {"\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": -2}",
         "rope_scaling.factor -2 is outside (0, 1e+06]"},
        {"\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 0, \"low_freq_factor\": 1, "
         "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 64}",
         "rope_scaling.factor 0 is outside"},
        {"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"high_freq_factor\": 4, "
         "\"original_max_position_embeddings\": 64}",
         "\"rope_scaling.low_freq_factor\" is missing"},
        {"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
         "\"original_max_position_embeddings\": 64}",
         "\"rope_scaling.high_freq_factor\" is missing"},
        {"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
         "\"high_freq_factor\": 4}",
         "\"rope_scaling.original_max_position_embeddings\" is missing"},
        {"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
         "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 64.5}",
         "\"rope_scaling.original_max_position_embeddings\" is no whole number"},
        {"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
         "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 0}",
         "rope_scaling.original_max_position_embeddings 0 is outside"},
        {"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 0, "
         "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 64}",
         "rope_scaling.low_freq_factor 0 is outside"},
        {"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
         "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 64}",
         "rope_scaling.high_freq_factor 4 is not above low_freq_factor 4"},
        {"\"partial_rotary_factor\": 0.5", "\"partial_rotary_factor\" is not 1"},
        {"\"rope_parameters\": {\"partial_rotary_factor\": 0.5}",
         "\"rope_parameters.partial_rotary_factor\" is not 1"},
        {"\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 5}}",
         "\"rope_parameters.full_attention\" is an object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1000];
        struct slt_config c;
        struct slt_error err;
        const int rc = parse(&c, with_sizes(text, sizeof text, cases[i].text), &err);
        CHECK(rc == SLT_ERR_FORMAT && strstr(err.message, cases[i].sentence) != NULL &&
                  strncmp(err.message, "'c.json': ", 10) == 0,
              "%s: %d, %s", cases[i].text, rc, err.message);
    }
}

// ---- What Python writes, and words about what is missing ----

static void check_python(void)
{
    struct slt_config c;
    struct slt_error err;
    char text[2000];
    // In keys that are not asked for, and in strings, they are nothing.
    CHECK_OK(parse(&c,
                   with_sizes(text, sizeof text,
                              "\"x\": NaN, \"y\": [Infinity, -Infinity, {\"NaN\": NaN}], "
                              "\"s\": \"a \\\"NaN, Infinity \\\\\", "
                              "\"model_max_length\": 1000000000000000019884624838656, "
                              "\"n\": -100000000000000000000, \"rms_norm_eps\": 1e-5"),
                   &err),
             err);
    CHECK(c.rms_norm_eps == 1e-5 && c.hidden_size == 64, "eps %g", c.rms_norm_eps);
    // Numbers that no double holds, and halves of surrogate pairs, as keys and in strings.
    char digits[401];
    memset(digits, '7', sizeof digits - 1);
    digits[sizeof digits - 1] = '\0';
    snprintf(text, sizeof text,
             "{" SIZES ", \"x\": [%s, -%s, 1e999, -2e308], \"\\ud800\": \"\\uDC00\\\\ud800\", "
             "\"y\": \"\\ud83d\\ude00 \\ud83d\\u0041\\ud83d\\ud83d\\ude00\\ud83d\"}",
             digits, digits);
    CHECK_OK(parse(&c, text, &err), err);
    // Numbers of 64 bits are whole.
    static const int64_t seeds[] = {INT64_MAX, INT64_MIN, -1};
    for (int i = 0; i < 3; i++) {
        char slt[100];
        snprintf(slt, sizeof slt, "\"slt\": {\"method\": \"full\", \"seed\": %lld}",
                 (long long)seeds[i]);
        CHECK_OK(parse(&c, with_sizes(text, sizeof text, slt), &err), err);
        CHECK((int64_t)c.seed == seeds[i], "seed %d", i);
    }
}

// What is the same, or nothing, in other words.
static void check_taken(void)
{
    static const char *const texts[] = {"\"hidden_act\": \"swish\"",
                                        "\"hidden_act\": \"silu\"",
                                        "\"attention_bias\": null, \"mlp_bias\": false",
                                        "\"quantization_config\": null",
                                        "\"eos_token_id\": []",
                                        "\"bos_token_id\": [], \"pad_token_id\": []",
                                        "\"rms_norm_eps\": 0, \"eos_token_id\": null",
                                        "\"rms_norm_eps\": 0.0"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct slt_config c;
        struct slt_error err;
        char text[1000];
        CHECK_OK(parse(&c, with_sizes(text, sizeof text, texts[i]), &err), err);
        CHECK(c.eos_token_id == -1 && c.bos_token_id == -1 && c.more_eos_count == 0, "%s",
              texts[i]);
    }
}

static void check_words(void)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"{" SIZES ", \"rms_norm_eps\": NaN}", "\"rms_norm_eps\" is NaN"},
        {"{" SIZES ", \"rope_theta\": Infinity}", "\"rope_theta\" is Infinity"},
        {"{" SIZES ", \"initializer_range\":-Infinity}", "\"initializer_range\" is -Infinity"},
        {"{" SIZES ", \"head_dim\": NaN}", "\"head_dim\" is NaN"},
        {"{" SIZES ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": NaN}}",
         "\"rope_scaling.factor\" is NaN"},
        {"{" SIZES ", \"tie_word_embeddings\": NaN}", "\"tie_word_embeddings\" is neither"},
        {"{" SIZES ", \"a\": NaN, \"a\": NaN}", "duplicate object key"},
        {"{" SIZES ", \"a\": NaNs}", "not valid JSON"},
        {"{" SIZES ", \"a\": nan}", "not valid JSON"},
        {"{" SIZES ", \"a\": \"NaN}", "not valid JSON"},
        {"{" SIZES ", \"a\": \"\\", "not valid JSON"},
        {"{" SIZES ", \"a\": -", "not valid JSON"},
        {"{" SIZES ", \"a\": 1e999-1}", "not valid JSON"},
        {"{" SIZES ", \"a\": \"\\ud80\"}", "not valid JSON"},
        {"{" SIZES ", \"a\": \"\\ud800", "not valid JSON"},
        {"{" SIZES ", \"a\": \"\\u", "not valid JSON"},
        {"{" SIZES ", \"rms_norm_eps\": 1e999}", "\"rms_norm_eps\" is Infinity"},
        {"{" SIZES ", \"attention_bias\": 1}", "\"attention_bias\" is neither true nor false"},
        {"{" SIZES ", \"mlp_bias\": \"false\"}", "\"mlp_bias\" is neither true nor false"},
        {"{" SIZES ", \"mlp_bias\": true}", "\"mlp_bias\" is true, which is not supported"},
        {"{" SIZES ", \"hidden_act\": \"gelu\"}", "\"hidden_act\" is not \"silu\""},
        {"{" SIZES ", \"hidden_act\": null}", "\"hidden_act\" is not \"silu\""},
        {"{" SIZES ", \"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4}}",
         "\"quantization_config\" says that another program quantized the model, which is not "
         "read"},
        {"{" SIZES ", \"eos_token_id\": [\"a\"]}", "\"eos_token_id\" is no"},
        {"{" SIZES ", \"rms_norm_eps\": -1e-9}", "rms_norm_eps"},
        {"{\"vocab_size\": 32}", "\"hidden_size\" is missing"},
        {"{\"vocab_size\": 32, \"hidden_size\": null}", "\"hidden_size\" is missing"},
        {"{\"vocab_size\": 32, \"hidden_size\": 64.0}", "\"hidden_size\" is no whole number"},
        {"{\"vocab_size\": 32, \"hidden_size\": \"64\"}", "\"hidden_size\" is no whole number"},
        {"{\"vocab_size\": 32, \"hidden_size\": 65, \"intermediate_size\": 96, "
         "\"num_hidden_layers\": 1, \"num_attention_heads\": 4}",
         "\"hidden_size\" 65 is no multiple of \"num_attention_heads\" 4, and there is no "
         "\"head_dim\""},
        {"{\"vocab_size\": 32, \"hidden_size\": 65, \"intermediate_size\": 96, "
         "\"num_hidden_layers\": 1, \"num_attention_heads\": 0}",
         "num_attention_heads 0 is outside [1, 4096]"},
        {"{" SIZES ", \"head_dim\": 0}", "head_dim 0 is outside [2, 4096]"},
        {"{\"model_type\": \"bert\", \"hidden_act\": \"gelu\", \"vocab_size\": 30522}",
         "\"model_type\" is \"bert\", and only LLaMA models (\"llama\") are supported"},
        {"{\"model_type\": \"roberta\"}", "\"model_type\" is \"roberta\", and only LLaMA models"},
        {"{\"model_type\": 7}", "\"model_type\" is no string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slt_config c;
        struct slt_error err;
        const int rc = parse(&c, cases[i].text, &err);
        CHECK(rc == SLT_ERR_FORMAT && strstr(err.message, cases[i].sentence) != NULL, "%s: %d, %s",
              cases[i].text, rc, err.message);
    }
    // A size of heads that is given need not be a share of the hidden size.
    struct slt_config c;
    struct slt_error err;
    CHECK_OK(parse(&c,
                   "{\"vocab_size\": 32, \"hidden_size\": 65, \"intermediate_size\": 96, "
                   "\"num_hidden_layers\": 1, \"num_attention_heads\": 4, \"head_dim\": 16}",
                   &err),
             err);
}

static void check_presets(void)
{
    static const char *const names[][2] = {
        {"60M", "60m"}, {"1B", "1b"}, {"Nano", "nano"}, {"NANO", "nano"}, {"350m", "350m"}};
    struct slt_config a, b;
    struct slt_error err;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_OK(slt_config_preset(&a, names[i][0], &err), err);
        CHECK_OK(slt_config_preset(&b, names[i][1], &err), err);
        slt_config_method_defaults(&a, names[i][0]);
        slt_config_method_defaults(&b, names[i][1]);
        CHECK(a.hidden_size == b.hidden_size && a.rank == b.rank && a.alpha == b.alpha,
              "%s: %d, rank %d", names[i][0], (int)a.hidden_size, (int)a.rank);
        CHECK(strcmp(slt_config_preset_find(names[i][0]), names[i][1]) == 0, "%s", names[i][0]);
    }
    CHECK(slt_config_preset(&a, "61M", &err) == SLT_ERR_RANGE && slt_config_preset_find("") == NULL,
          "an unknown one");
}

// ---- Linears that differ by layer ----

#define FOUR_LAYERS                                                                                \
    "{\"vocab_size\": 32, \"hidden_size\": 64, \"intermediate_size\": 96, "                        \
    "\"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"slt\": {\"method\": \"%s\", "         \
    "\"rank\": 8, \"alpha\": 4.0, \"density\": 0.1, \"support\": \"explicit\", \"layers\": %s}}"

static int parse_layers(struct slt_config *c, const char *method, const char *list,
                        struct slt_error *err)
{
    char text[2000];
    snprintf(text, sizeof text, FOUR_LAYERS, method, list);
    return parse(c, text, err);
}

static void check_form(const struct slt_config *c, int64_t layer, int32_t group,
                       enum slt_method method, int64_t rank, double density)
{
    const struct slt_form f = slt_config_form(c, layer, group);
    CHECK(f.method == method && f.rank == rank && f.density == density &&
              f.scale == (rank > 0 ? 0.5 : 0),
          "layer %d, %s: %s, rank %d, density %g, scale %g", (int)layer,
          slt_group_name((enum slt_group_kind)group), slt_method_name(f.method), (int)f.rank,
          f.density, f.scale);
}

static void check_layers_read(void)
{
    struct slt_config c, again;
    struct slt_error err;
    char *text, *same;
    CHECK_OK(parse_layers(&c, "sltrain",
                          "[{\"layers\": [0, 0], \"method\": \"full\"}, "
                          "{\"layers\": [1, 3], \"groups\": [\"o\", \"down\"], \"rank\": 48, "
                          "\"density\": 0.30000000000000004}, "
                          "{\"layers\": [3, 3], \"groups\": [\"gate_up\"], \"density\": 1}]",
                          &err),
             err);
    for (int32_t k = 0; k < SLT_GROUP_KINDS; k++)
        check_form(&c, 0, k, SLT_FULL, 0, 0);
    check_form(&c, 1, SLT_GROUP_QKV, SLT_SLTRAIN, 8, 0.1);
    check_form(&c, 1, SLT_GROUP_O, SLT_SLTRAIN, 48, 0.30000000000000004);
    check_form(&c, 2, SLT_GROUP_GATE_UP, SLT_SLTRAIN, 8, 0.1);
    check_form(&c, 3, SLT_GROUP_GATE_UP, SLT_SLTRAIN, 8, 1);
    check_form(&c, 3, SLT_GROUP_DOWN, SLT_SLTRAIN, 48, 0.30000000000000004);
    CHECK_OK(slt_config_write(&c, &text, &err), err);
    CHECK_OK(parse(&again, text, &err), err);
    CHECK_OK(slt_config_write(&again, &same, &err), err);
    CHECK(strcmp(text, same) == 0 && memcmp(c.layers, again.layers, sizeof c.layers) == 0,
          "written and read again: %s", text);
    free(text);
    free(same);
    slt_config_make_full(&c);
    CHECK_OK(slt_config_write(&c, &text, &err), err);
    CHECK(strstr(text, "\"layers\"") == NULL, "there are none in %s", text);
    free(text);
}

static void check_layers_refused(void)
{
    static const struct {
        const char *method, *list, *sentence;
    } cases[] = {
        {"sltrain", "{}", "\"slt.layers\" is no list of at most 32"},
        {"sltrain", "null", "\"slt.layers\" is no list of at most 32"},
        {"sltrain", "[3]", "\"slt.layers[0]\" is no object"},
        {"sltrain", "[{\"rank\": 4}]", "\"slt.layers[0].layers\" is missing or no list of two"},
        {"sltrain", "[{\"layers\": [0], \"rank\": 4}]",
         "\"slt.layers[0].layers\" is missing or no"},
        {"sltrain", "[{\"layers\": [0, 1.5], \"rank\": 4}]", "\"slt.layers[0].layers\" is missing"},
        {"sltrain", "[{\"layers\": [0, 4], \"rank\": 4}]",
         "layers '0-4:*:rank=4': the range is not within the layers 0 to 3"},
        {"sltrain", "[{\"layers\": [2, 1], \"rank\": 4}]", "layers '2-1:*:rank=4': the range"},
        {"sltrain", "[{\"layers\": [-1, 1], \"rank\": 4}]", "layers '-1-1:*:rank=4': the range"},
        {"sltrain", "[{\"layers\": [0, 0], \"groups\": [\"q\"], \"rank\": 4}]",
         "\"slt.layers[0].groups\" has another group than"},
        {"sltrain", "[{\"layers\": [0, 0], \"groups\": [\"o\", \"o\"], \"rank\": 4}]",
         "\"slt.layers[0].groups\" has a group twice"},
        {"sltrain", "[{\"layers\": [0, 0], \"groups\": [], \"rank\": 4}]",
         "\"slt.layers[0].groups\" is no list of groups"},
        {"sltrain", "[{\"layers\": [0, 0]}]", "\"slt.layers[0]\" has neither method, rank nor"},
        {"sltrain", "[{\"layers\": [0, 0], \"method\": \"lowrank\"}]",
         "\"slt.layers[0].method\" is not \"full\""},
        {"sltrain", "[{\"layers\": [0, 0], \"method\": \"full\", \"rank\": 4}]",
         "layers '0:*:method=full,rank=4': a full-rank linear has neither rank nor density"},
        {"sltrain", "[{\"layers\": [0, 0], \"rank\": 65}]", "the rank is outside [1, 64]"},
        {"sltrain", "[{\"layers\": [0, 0], \"rank\": 0}]", "\"slt.layers[0].rank\" is no whole"},
        {"sltrain", "[{\"layers\": [0, 0], \"density\": 1.5}]", "the density is outside (0, 1]"},
        {"sltrain", "[{\"layers\": [0, 0], \"density\": 0}]", "\"slt.layers[0].density\" is no"},
        {"sltrain", "[{\"layers\": [0, 0], \"alpha\": 4}]", "\"slt.layers[0].alpha\" is not known"},
        {"sltrain",
         "[{\"layers\": [0, 2], \"groups\": [\"o\", \"down\"], \"rank\": 4}, "
         "{\"layers\": [1, 3], \"groups\": [\"qkv\", \"down\"], \"density\": 0.5}]",
         "two elements of layers set 'model.layers.1.mlp.down_proj'"},
        {"lowrank", "[{\"layers\": [0, 0], \"density\": 0.5}]",
         "has no sparse part with a density"},
        {"full", "[{\"layers\": [0, 0], \"rank\": 4}]", "method full has none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slt_config c;
        struct slt_error err;
        const int rc = parse_layers(&c, cases[i].method, cases[i].list, &err);
        CHECK(rc == SLT_ERR_FORMAT && strstr(err.message, cases[i].sentence) != NULL &&
                  strncmp(err.message, "'c.json': ", 10) == 0,
              "%s: %d, %s", cases[i].list, rc, err.message);
    }
}

static void check_layers_text(void)
{
    static const struct {
        const char *text, *formatted; // NULL: refused
    } cases[] = {
        {"1-3:o:rank=48,density=0.1", "1-3:o:rank=48,density=0.1"},
        {"0,3:*:method=full", "0:*:method=full 3:*:method=full"},
        {"*:gate_up,qkv:rank=2", "0-3:qkv,gate_up:rank=2"},
        {"first,2-last:down:density=0.25", "0:down:density=0.25 2-3:down:density=0.25"},
        {"0:*", NULL},
        {"4:*:rank=1", NULL},
        {"2-1:*:rank=1", NULL},
        {"0-:*:rank=1", NULL},
        {"0,:*:rank=1", NULL},
        {"0:q:rank=1", NULL},
        {"0::rank=1", NULL},
        {"0:*,o:rank=1", NULL},
        {"0:*:", NULL},
        {"0:*:rank=1,rank=2", NULL},
        {"0:*:rank=0", NULL},
        {"0:*:density=0", NULL},
        {"0:*:method=lowrank", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slt_config c = {.num_hidden_layers = 4};
        struct slt_error err = {0};
        char all[200] = "", one[160];
        const int rc = slt_layers_parse(&c, cases[i].text, &err);
        CHECK((rc == 0) == (cases[i].formatted != NULL), "%s: %d, %s", cases[i].text, rc,
              err.message);
        CHECK(rc == 0 || (c.layers_count == 0 && strstr(err.message, cases[i].text) != NULL),
              "%s: %s", cases[i].text, err.message);
        for (int64_t k = 0; k < c.layers_count; k++)
            snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", k > 0 ? " " : "",
                     slt_layers_format(one, sizeof one, &c.layers[k]));
        CHECK(rc != 0 || strcmp(all, cases[i].formatted) == 0, "%s: %s", cases[i].text, all);
    }
}

// Sizes by hand: four linears of 64 x 64 and three of 64 x 96 in each of four layers.
static void check_share(void)
{
    const double full = 4 * 64 * 64 + 3 * 64 * 96, factors = 4 * 128 + 3 * 160;
    const double sparse = 4 * 409 + 3 * 614; // a tenth of them, rounded down each
    struct slt_config c;
    struct slt_error err;
    CHECK_OK(parse_layers(&c, "sltrain", "[{\"layers\": [0, 0], \"method\": \"full\"}]", &err),
             err);
    const double want = (full + 3 * (8 * factors + sparse)) / (4 * full);
    CHECK(fabs(slt_config_linear_share(&c) - want) < 1e-15, "share %.17g, not %.17g",
          slt_config_linear_share(&c), want);
    for (int64_t rank = 1; rank <= 64; rank++) {
        const double exact = (full + 3 * ((double)rank * factors + sparse)) / (4 * full);
        CHECK_OK(slt_config_fit_rank(&c, exact, &err), err);
        CHECK(c.rank == rank, "rank %d, not %d", (int)c.rank, (int)rank);
        if (rank > 1) {
            CHECK_OK(slt_config_fit_rank(&c, exact * (1 - 1e-9), &err), err);
            CHECK(c.rank == rank - 1, "rank %d just below %d", (int)c.rank, (int)rank);
        }
    }
    CHECK(slt_config_fit_rank(&c, 0.25, &err) == SLT_ERR_RANGE, "a quarter is the dense layer's");
    slt_config_make_full(&c);
    CHECK(slt_config_linear_share(&c) == 1, "a full-rank model is all of itself");
    CHECK(slt_config_fit_rank(&c, 1, &err) == SLT_ERR_RANGE, "it has no rank");
}

int main(void)
{
    check_layers_read();
    check_layers_refused();
    check_layers_text();
    check_share();
    check_python();
    check_taken();
    check_words();
    check_presets();
    check_rope_reading();
    check_frequencies();
    check_refused();
    return TEST_END();
}
