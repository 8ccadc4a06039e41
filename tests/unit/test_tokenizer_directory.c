// Tokenizers of directories: added tokens, what tokens mean, files that belong together.
#include <sys/stat.h>
#include <unistd.h>

#include "files/tokenizer_directory.h"
#include "mixed.h"
#include "spm_files.h"
#include "text/json_tokenizer.h"
#include "text/kinds.h"
#include "tokenizer_folder.h"
#include "tokenizers.h"

// The folder is refused with a sentence that has this in it.
static void check_refused(const char *what)
{
    struct slt_tokenizer *t = NULL;
    struct slt_error err = {0};
    const int rc = slt_tokenizer_open(&t, test_folder, NULL, &err);
    CHECK(rc == SLT_ERR_FORMAT && strstr(err.message, what) != NULL, "%s: %d %s", what, rc,
          err.message);
    slt_tokenizer_free(rc == 0 ? t : NULL);
}

static void check_decoded(const struct slt_tokenizer *t, const uint32_t *ids, size_t count,
                          const char *wanted)
{
    struct slt_error err;
    char *text = NULL;
    size_t bytes;
    CHECK_OK(slt_tokenizer_decode(t, &text, &bytes, ids, count, &err), err);
    CHECK(text != NULL && strcmp(text, wanted) == 0, "'%s', not '%s'", text, wanted);
    free(text);
}

static void put_small(const char *name, const struct spm_spec *spec)
{
    struct text_buffer b = {0};
    spm_small(&b, spec);
    put_file(name, b.data, b.bytes);
    free(b.data);
}

// ---- SentencePiece with added tokens ----
// 26 pieces: "th" is 17, "_th" 18, "he" 19, "_the" 23; letters from 4 on, the space 3.

static void check_batch(const struct slt_tokenizer *t)
{
    const char *const texts[] = {"the<e>x", "the[x]x"};
    const size_t bytes[] = {7, 7};
    struct slt_token_ids ids[2] = {{0}, {0}};
    struct slt_error err;
    CHECK_OK(slt_tokenizer_encode_batch(t, ids, texts, bytes, 2, 1, &err), err);
    for (size_t i = 0; i < ids[0].count; i++)
        CHECK(ids[0].id[i] != 28, "EOS in a document");
    CHECK(ids[1].count >= 2 && ids[1].id[ids[1].count - 2] == 30, "an added token of a document");
    slt_token_ids_free(&ids[0]);
    slt_token_ids_free(&ids[1]);
}

static void test_added(void)
{
    const uint32_t ids[] = {28, 17, 10, 30, 4};
    put_small("tokenizer.model", &(struct spm_spec){0});
    struct slt_tokenizer *plain = open_folder(), *t;
    CHECK(slt_tokenizer_info(plain)->vocab_size == 26, "%u pieces",
          slt_tokenizer_info(plain)->vocab_size);
    check_ids(plain, "the", "17 8");
    put_text("added_tokens.json", "{\"[x]\": 30, \"<e>\": 28, \"[y]\": 27}");
    put_text("tokenizer_config.json",
             "{\"eos_token\": \"<e>\", \"add_bos_token\": true, \"added_tokens_decoder\": {\"28\": "
             "{\"content\": \"<e>\", \"special\": true, \"lstrip\": true}}}");
    t = open_folder();
    const struct slt_tokenizer_info *info = slt_tokenizer_info(t);
    CHECK(info->vocab_size == 31 && info->bos == 1 && info->eos == 28 &&
              info->pad == SLT_TOKEN_NONE,
          "%u %u %u", info->vocab_size, info->bos, info->eos);
    CHECK(info->adds_bos && !info->adds_eos, "what stands around a text");
    CHECK(slt_tokenizer_piece(t, 28).type == SLT_PIECE_CONTROL &&
              slt_tokenizer_piece(t, 29).type == SLT_PIECE_UNUSED &&
              slt_tokenizer_piece(t, 30).type == SLT_PIECE_USER,
          "types");
    check_ids(t, "<e>the[x]a <e>", "28 17 8 30 4 28"); // lstrip takes the space
    check_ids(t, "[y]", "27");
    CHECK(strcmp(slt_tokenizer_piece(t, 29).text, "[PAD29]") == 0, "an id without a token");
    check_ids(t, "the", "17 8");
    check_decoded(t, ids, 5, "thi[x]a");
    check_batch(t);
    CHECK(memcmp(info->digest, slt_tokenizer_info(plain)->digest, SLT_SHA256_BYTES) != 0,
          "other ids, one digest");
    // Its bytes are a whole tokenizer, and read back the same from a directory that adds nothing.
    size_t bytes;
    const void *data = slt_tokenizer_data(t, &bytes);
    struct slt_tokenizer *again = NULL;
    struct slt_error err;
    CHECK_OK(slt_tokenizer_load(&again, "again", data, bytes, &err), err);
    check_ids(again, "<e>the[x]a <e>", "28 17 8 30 4 28");
    CHECK(slt_tokenizer_info(again)->adds_bos, "adds_bos is lost");
    slt_tokenizer_free(again);
    slt_tokenizer_free(t);
    slt_tokenizer_free(plain);
    clear_folder();
}

// What only says what tokens mean makes no other tokenizer of it.
static void test_meaning(void)
{
    put_small("spiece.model", &(struct spm_spec){0});
    struct slt_tokenizer *plain = open_folder();
    put_text("tokenizer_config.json",
             "{\"tokenizer_class\": \"LlamaTokenizer\", \"pad_token\": {\"content\": \"x\"}, "
             "\"added_tokens_decoder\": {\"1\": {\"content\": \"<s>\", \"special\": true}}}");
    struct slt_tokenizer *t = open_folder();
    const struct slt_tokenizer_info *info = slt_tokenizer_info(t);
    CHECK(info->adds_bos && info->pad == 16 && info->eos == 2, "pad %u", info->pad);
    CHECK(memcmp(info->digest, slt_tokenizer_info(plain)->digest, SLT_SHA256_BYTES) == 0,
          "the same ids, two digests");
    check_ids(t, "<s>", ids_of(plain, "<s>"));
    slt_tokenizer_free(t);
    slt_tokenizer_free(plain);
    clear_folder();
}

// A control piece of the model is found in a text only where the directory adds it; BOS never.
static void test_control(void)
{
    struct text_buffer b = {0};
    spm_small(&b, &(struct spm_spec){0});
    spm_put_piece(&b, "<mask>", 0, SPM_CONTROL_PIECE);
    put_file("tokenizer.model", b.data, b.bytes);
    struct slt_tokenizer *t = open_folder();
    check_ids(t, "a<mask>", ids_of(t, "a<mask>"));
    CHECK(strstr(ids_of(t, "a<mask>"), "26") == NULL, "a control piece in a text");
    slt_tokenizer_free(t);
    put_text("tokenizer_config.json",
             "{\"added_tokens_decoder\": {\"1\": {\"content\": \"<s>\"}, \"26\": {\"content\": "
             "\"<mask>\", \"special\": true}}}");
    t = open_folder();
    check_ids(t, "a<mask>a", "4 26 4");
    CHECK(strcmp(ids_of(t, "<s>"), "1") != 0, "BOS of a text");
    CHECK(slt_tokenizer_info(t)->vocab_size == 27, "one piece twice");
    slt_tokenizer_free(t);
    free(b.data);
    clear_folder();
}

// The space before a text is before each text between tokens, or before the first one only.
static void test_space(void)
{
    put_small("tokenizer.model", &(struct spm_spec){.adds_space = true});
    put_text("added_tokens.json", "{\"[x]\": 26}");
    struct slt_tokenizer *t = open_folder();
    check_ids(t, "the[x]the", "23 26 23");
    check_ids(t, "[x]a", "26 22");
    slt_tokenizer_free(t);
    put_text("tokenizer_config.json",
             "{\"tokenizer_class\": \"LlamaTokenizerFast\", \"legacy\": false}");
    t = open_folder();
    check_ids(t, "the[x]the", "23 26 17 8");
    check_ids(t, "[x]a", "26 4");
    check_ids(t, " a", "22");
    slt_tokenizer_free(t);
    clear_folder();
}

// What tokenizer_config.json says of it counts for classes that go by it.
static void test_space_said(void)
{
    static const struct {
        bool model;
        const char *config, *ids;
    } cases[] = {
        {true, "\"tokenizer_class\": \"LlamaTokenizer\"", "23 26 23"},
        {true, "\"add_prefix_space\": false", "23 26 23"},
        {true, "\"tokenizer_class\": \"LlamaTokenizer\", \"add_prefix_space\": false",
         "17 8 26 17 8"},
        {true,
         "\"tokenizer_class\": \"LlamaTokenizerFast\", \"legacy\": false, "
         "\"add_prefix_space\": false",
         "17 8 26 17 8"},
        {true, "\"tokenizer_class\": \"LlamaTokenizer\", \"add_prefix_space\": true", "23 26 23"},
        {false, "\"tokenizer_class\": \"LlamaTokenizer\", \"add_prefix_space\": true", "23 26 23"},
        {false,
         "\"tokenizer_class\": \"LlamaTokenizer\", \"legacy\": false, "
         "\"add_prefix_space\": true",
         "23 26 17 8"}};
    char text[300];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slt_tokenizer *again = NULL;
        struct slt_error err;
        size_t bytes;
        put_small("tokenizer.model", &(struct spm_spec){.adds_space = cases[i].model});
        put_text("added_tokens.json", "{\"[x]\": 26}");
        snprintf(text, sizeof text, "{%s}", cases[i].config);
        put_text("tokenizer_config.json", text);
        struct slt_tokenizer *t = open_folder();
        check_ids(t, "the[x]the", cases[i].ids);
        // A checkpoint carries it.
        const void *data = slt_tokenizer_data(t, &bytes);
        CHECK_OK(slt_tokenizer_load(&again, "again", data, bytes, &err), err);
        check_ids(again, "the[x]the", cases[i].ids);
        slt_tokenizer_free(again);
        slt_tokenizer_free(t);
        clear_folder();
    }
}

static void test_json_space_said(void)
{
    static const struct {
        const char *own, *config;
        bool adds_space;
    } cases[] = {
        {"true", "\"tokenizer_class\": \"GPT2Tokenizer\"", false},
        {"true", "\"tokenizer_class\": \"GPT2Tokenizer\", \"add_prefix_space\": true", true},
        {"false", "\"tokenizer_class\": \"GPTNeoXTokenizer\", \"add_prefix_space\": true", true},
        {"true", "\"tokenizer_class\": \"PreTrainedTokenizerFast\", \"add_prefix_space\": false",
         true},
        {"false", "\"tokenizer_class\": \"Qwen2Tokenizer\", \"add_prefix_space\": false", false},
        {"true", "\"add_prefix_space\": true", true}};
    char json[300], config[200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(json, sizeof json,
                 "{\"model\": {\"vocab\": {\"a\": 0, \"\xc4\xa0\": 1}, \"merges\": []}, "
                 "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": %s}}",
                 cases[i].own);
        put_text("tokenizer.json", json);
        snprintf(config, sizeof config, "{%s}", cases[i].config);
        put_text("tokenizer_config.json", config);
        struct slt_tokenizer *t = open_folder();
        check_ids(t, "a", cases[i].adds_space ? "1 0" : "0");
        slt_tokenizer_free(t);
    }
    put_text("tokenizer_config.json",
             "{\"tokenizer_class\": \"OtherTokenizer\", \"add_prefix_space\": false}");
    check_refused("its add_prefix_space is true, which contradicts tokenizer_config.json");
    clear_folder();
}

static char noted[600];

static void on_note(void *user, const char *sentence)
{
    (void)user;
    strcat(strcat(noted, sentence + strlen(test_folder) + 4), ";"); // without the folder's name
}

// What opening the folder says.
static void check_noted(const char *wanted)
{
    static const struct slt_tokenizer_listener listener = {on_note, NULL};
    struct slt_tokenizer *t = NULL;
    struct slt_error err;
    noted[0] = '\0';
    CHECK_OK(slt_tokenizer_of_directory(&t, test_folder, &listener, NULL, &err), err);
    CHECK(strcmp(noted, wanted) == 0, "'%s', not '%s'", noted, wanted);
    slt_tokenizer_free(t);
}

static void test_without_id(void)
{
    put_small("tokenizer.model", &(struct spm_spec){0});
    put_text("added_tokens.json", "{\"[x]\": 26}");
    put_text("tokenizer_config.json",
             "{\"bos_token\": \"<s>\", \"pad_token\": null, \"additional_special_tokens\": "
             "[\"[x]\", \"th\"]}");
    check_noted("");
    put_text("special_tokens_map.json", "{\"pad_token\": {\"content\": \"[PAD]\"}}");
    check_noted("the special token '[PAD]' has no id and is text here;");
    put_text(
        "tokenizer_config.json",
        "{\"mask_token\": \"<m>\", \"additional_special_tokens\": [\"[x]\", \"[PAD]\", \"[y]\"]}");
    check_noted("the special tokens '[PAD]' and 2 more have no id and are text here;");
    clear_folder();
    put_text("tokenizer.json",
             "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}, \"pre_tokenizer\": {\"type\": "
             "\"ByteLevel\"}, \"added_tokens\": [{\"id\": 1, \"content\": \"[x]\"}]}");
    put_text("special_tokens_map.json", "{\"eos_token\": \"[x]\", \"pad_token\": \"[y]\"}");
    check_noted("the special token '[y]' has no id and is text here;");
    clear_folder();
}

static void test_spaces_differ(void)
{
    static const char never[] = "tokenizer.model puts a space before a text, the tokenizer.json "
                                "beside it does not;",
                      always[] = "tokenizer.model puts no space before a text, the tokenizer.json "
                                 "beside it does;";
    static const struct {
        const char *json;
        bool puts;
    } cases[] = {
        {"\"normalizer\": null", false},
        {"\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\"}]}",
         true},
        {"\"normalizer\": {\"type\": \"Prepend\"}, \"pre_tokenizer\": null", true},
        {"\"pre_tokenizer\": {\"type\": \"Metaspace\", \"prepend_scheme\": \"never\"}", false},
        {"\"pre_tokenizer\": {\"type\": \"Metaspace\", \"prepend_scheme\": \"first\"}", true},
        {"\"pre_tokenizer\": {\"type\": \"Metaspace\", \"add_prefix_space\": false}", false},
        {"\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": "
         "\"WhitespaceSplit\"}, {\"type\": \"Metaspace\", \"add_prefix_space\": true}]}",
         true},
    };
    char text[300];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int adds = 0; adds < 2; adds++) {
            put_small("tokenizer.model", &(struct spm_spec){.adds_space = adds});
            snprintf(text, sizeof text, "{\"model\": {}, %s}", cases[i].json);
            put_text("tokenizer.json", text);
            check_noted(cases[i].puts == (bool)adds ? "" : adds ? never : always);
        }
    }
    // The configuration decides it for the model, too.
    put_text("tokenizer.json", "{\"model\": {}}");
    put_text("tokenizer_config.json",
             "{\"tokenizer_class\": \"LlamaTokenizer\", \"add_prefix_space\": false}");
    check_noted("");
    clear_folder();
}

static void test_refused(void)
{
    check_refused("has no tokenizer");
    put_small("tokenizer.model", &(struct spm_spec){0});
    put_text("added_tokens.json", "{\"[x]\": 5}");
    check_refused("has the id 5 of the piece 'b'");
    put_text("added_tokens.json", "{\"th\": 30}");
    check_refused("two ids");
    put_text("added_tokens.json", "{\"[x]\": 200000}");
    check_refused("far too large");
    put_text("added_tokens.json", "{\"[x]\": 30, \"[y]\": 30}");
    check_refused("contradict");
    put_text("added_tokens.json", "{\"[x]\": 30}");
    put_text("tokenizer_config.json",
             "{\"added_tokens_decoder\": {\"31\": {\"content\": \"[x]\"}}}");
    check_refused("contradict");
    clear_folder();
    // What is no SentencePiece model is passed over where there is something else.
    put_text("tokenizer.model", "IQ== 0\nIg== 1\n");
    check_refused("neither a SentencePiece model");
    put_text("vocab.json", "{\"a\": 0, \"b\": 1, \"ab\": 2}");
    put_text("merges.txt", "#version: 0.2\na b\n");
    check_refused("neither a SentencePiece model");
    put_text("tokenizer.json", "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}, "
                               "\"pre_tokenizer\": {\"type\": \"ByteLevel\"}}");
    struct slt_tokenizer *t = open_folder();
    check_ids(t, "a", "0");
    slt_tokenizer_free(t);
    put_text("added_tokens.json", "{\"[x]\": 1}");
    t = open_folder();
    check_ids(t, "a[x]", "0 1");
    slt_tokenizer_free(t);
    clear_folder();
}

// A tokenizer beside another one's tokenizer.json is complete by itself.
static void test_beside(void)
{
    put_small("tokenizer.model", &(struct spm_spec){0});
    put_text("tokenizer.json", "{\"added_tokens\": [{\"id\": 0, \"content\": \"[x]\"}]}");
    struct slt_tokenizer *t = open_folder();
    CHECK(slt_tokenizer_info(t)->vocab_size == 26, "a foreign token");
    slt_tokenizer_free(t);
    put_text("tokenizer.json", "{\"added_tokens\": [{\"id\": 1, \"content\": \"<s>\"}, {\"id\": "
                               "26, \"content\": \"[x]\"}]}");
    t = open_folder();
    check_ids(t, "a[x]", "4 26");
    slt_tokenizer_free(t);
    clear_folder();
}

// ---- tokenizer.json, vocab.json and merges.txt ----

static void test_json_added(void)
{
    char *json = read_text(VECTORS "tokenizer-bytes.json", NULL);
    put_text("tokenizer.json", json);
    struct slt_tokenizer *plain = open_folder();
    const uint32_t count = slt_tokenizer_info(plain)->vocab_size;
    char text[200];
    snprintf(text, sizeof text, "{\"<|user|>\": %u, \"<|endoftext|>\": 0}", count + 2);
    put_text("added_tokens.json", text);
    put_text("special_tokens_map.json", "{\"eos_token\": \"<|user|>\"}");
    struct slt_tokenizer *t = open_folder();
    CHECK(slt_tokenizer_info(t)->vocab_size == count + 3, "%u tokens",
          slt_tokenizer_info(t)->vocab_size);
    CHECK(slt_tokenizer_info(t)->eos == count + 2, "eos %u", slt_tokenizer_info(t)->eos);
    snprintf(text, sizeof text, "%u", count + 2);
    check_ids(t, "<|user|>", text);
    check_ids(t, "It was \xc3\xa9 \x01", ids_of(plain, "It was \xc3\xa9 \x01"));
    slt_tokenizer_free(t);
    put_text("added_tokens.json", "{\"<|user|>\": 7}");
    check_refused("two ids");
    slt_tokenizer_free(plain);
    free(json);
    clear_folder();
}

// Of the small tokenizer's parts the whole is made again.
static void test_vocab(struct mixed *m)
{
    json_t *root = tokenizer_base("bytes"), *model = json_object_get(root, "model");
    json_t *merges = json_object_get(model, "merges"), *pair;
    char *vocab = json_dumps(json_object_get(model, "vocab"), 0);
    struct text_buffer lines = {0};
    struct slt_tokenizer *whole = NULL, *t = NULL;
    struct slt_error err;
    char path[100];
    size_t i;
    spm_add(&lines, "#version: 0.2\n", 14);
    json_array_foreach (merges, i, pair) {
        const char *left = json_string_value(json_array_get(pair, 0)),
                   *right = json_string_value(json_array_get(pair, 1));
        spm_add(&lines, left, strlen(left));
        spm_add(&lines, " ", 1);
        spm_add(&lines, right, strlen(right));
        spm_add(&lines, "\n", 1);
    }
    put_text("vocab.json", vocab);
    put_file("merges.txt", lines.data, lines.bytes);
    CHECK_OK(load_tokenizer(&whole, root, &err), err);
    snprintf(path, sizeof path, "%s/vocab.json", test_folder);
    CHECK_OK(slt_tokenizer_open(&t, path, NULL, &err), err);
    slt_tokenizer_free(t);
    t = open_folder();
    CHECK(slt_tokenizer_info(t)->eos == 0 && slt_tokenizer_piece(t, 0).type == SLT_PIECE_CONTROL,
          "<|endoftext|>");
    for (uint64_t d = 0; d < 4; d++) {
        mixed_document(m, d, 1500);
        char *copy = strndup(m->out, m->bytes), *wanted = strdup(ids_of(whole, copy));
        check_ids(t, copy, wanted);
        free(wanted);
        free(copy);
    }
    slt_tokenizer_free(t);
    put_text("tokenizer_config.json", "{\"tokenizer_class\": \"CLIPTokenizer\"}");
    check_refused("CLIPTokenizer");
    put_text("tokenizer_config.json", "{\"tokenizer_class\": \"Qwen2Tokenizer\"}");
    t = open_folder();
    const char *way = json_tokenizer_gguf_pre(slt_tokenizer_model(t, &bpe_kind));
    CHECK(way != NULL && strcmp(way, "qwen2") == 0, "split as %s", way);
    slt_tokenizer_free(t);
    slt_tokenizer_free(whole);
    json_decref(root);
    free(vocab);
    free(lines.data);
    clear_folder();
}

// Python's json module writes numbers that strict JSON has not; NULs in keys are ones all the same.
static void test_python(void)
{
    static const char large[] = "1000000000000000019884624838656";
    char text[300];
    put_text("tokenizer.json",
             "{\"x\": NaN, \"model\": {\"vocab\": {\"a\": 0, \"\\u0000\": 1}, \"merges\": []}, "
             "\"y\": 10000000000000000000000, \"normalizer\": null, "
             "\"pre_tokenizer\": {\"type\": \"ByteLevel\"}}");
    snprintf(text, sizeof text, "{\"model_max_length\": %s, \"eos_token\": \"a\"}", large);
    put_text("tokenizer_config.json", text);
    put_text("special_tokens_map.json", "{\"x\": [Infinity, -Infinity, 1e999]}");
    put_text("added_tokens.json", "{\"[\\ud83d\\ude00]\": 2}");
    struct slt_tokenizer *t = open_folder();
    CHECK(slt_tokenizer_info(t)->eos == 0, "eos %u", slt_tokenizer_info(t)->eos);
    check_ids(t, "a[\xf0\x9f\x98\x80]", "0 2");
    slt_tokenizer_free(t);
    clear_folder();
}

// ---- Nothing ----

static void test_nothing(void)
{
    static const char *const empty[] = {
        "{\"model\": {\"vocab\": {}, \"merges\": []}, \"pre_tokenizer\": {\"type\": "
        "\"ByteLevel\"}}",
        "{\"model\": {\"vocab\": {}, \"merges\": []}, \"pre_tokenizer\": {\"type\": "
        "\"ByteLevel\"}, "
        "\"added_tokens\": [{\"id\": 0, \"content\": \"<|endoftext|>\", \"special\": true}]}",
        "{\"model\": {\"vocab\": {\"\xc4\x80\": 0}, \"merges\": []}, \"pre_tokenizer\": {\"type\": "
        "\"ByteLevel\"}}",
        "{\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \"x\"}, \"content\": "
        "\"\"}, \"model\": {\"byte_fallback\": true, \"vocab\": {\"x\": 0}, \"merges\": []}}"};
    static const char *const why[] = {"vocabulary is empty", "no tokens at all", "no tokens at all",
                                      "no tokens at all"};
    for (size_t i = 0; i < 4; i++) {
        put_text("tokenizer.json", empty[i]);
        check_refused(why[i]);
    }
    clear_folder();
    put_file("tokenizer.model", "", 0);
    check_refused("SentencePiece");
    clear_folder();
}

int main(void)
{
    struct mixed m;
    char *text = read_text(VECTORS "mixed.txt", NULL);
    CHECK(text != NULL && mkdtemp(test_folder) != NULL, "no " VECTORS "mixed.txt, or no folder");
    mixed_open(&m, text);
    test_added();
    test_meaning();
    test_control();
    test_space();
    test_space_said();
    test_json_space_said();
    test_without_id();
    test_spaces_differ();
    test_refused();
    test_beside();
    test_json_added();
    test_vocab(&m);
    test_python();
    test_nothing();
    mixed_close(&m);
    rmdir(test_folder);
    return TEST_END();
}
