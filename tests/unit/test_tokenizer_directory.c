// Tokenizers of directories: added tokens, what tokens mean, files that belong together; and
// SentencePiece models as tokenizer.json files.
#include <sys/stat.h>
#include <unistd.h>

#include "mixed.h"
#include "spm_files.h"
#include "text/json_tokenizer.h"
#include "text/kinds.h"
#include "text/to_json.h"
#include "tokenizers.h"

static char folder[] = "/tmp/slt-test-tokenizer-XXXXXX";

static void put_file(const char *name, const void *data, size_t bytes)
{
    char path[100];
    struct slt_output *out = NULL;
    struct slt_error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_output_write(out, data, bytes, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
}

static void put_text(const char *name, const char *text)
{
    put_file(name, text, strlen(text));
}

static void clear_folder(void)
{
    static const char *const names[] = {
        "tokenizer.model",   "spiece.model", "tokenizer.json", "tokenizer_config.json",
        "added_tokens.json", "vocab.json",   "merges.txt",     "special_tokens_map.json"};
    char path[100];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
}

static struct slt_tokenizer *open_folder(void)
{
    struct slt_tokenizer *t = NULL;
    struct slt_error err;
    CHECK_OK(slt_tokenizer_open(&t, folder, NULL, &err), err);
    return t;
}

// The folder is refused with a sentence that has this in it.
static void check_refused(const char *what)
{
    struct slt_tokenizer *t = NULL;
    struct slt_error err = {0};
    const int rc = slt_tokenizer_open(&t, folder, NULL, &err);
    CHECK(rc == SLT_ERR_FORMAT && strstr(err.message, what) != NULL, "%s: %d %s", what, rc,
          err.message);
    slt_tokenizer_free(rc == 0 ? t : NULL);
}

// The ids of a text as numbers with spaces between.
static const char *ids_of(const struct slt_tokenizer *t, const char *text)
{
    static char line[2000];
    struct slt_token_ids ids = {0};
    struct slt_error err;
    size_t n = 0;
    CHECK_OK(slt_tokenizer_encode(t, &ids, text, strlen(text), &err), err);
    line[0] = '\0';
    for (size_t i = 0; i < ids.count && n + 12 < sizeof line; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, i > 0 ? " %u" : "%u", ids.id[i]);
    slt_token_ids_free(&ids);
    return line;
}

static void check_ids(const struct slt_tokenizer *t, const char *text, const char *wanted)
{
    const char *got = ids_of(t, text);
    CHECK(strcmp(got, wanted) == 0, "'%s': %s, not %s", text, got, wanted);
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
    snprintf(path, sizeof path, "%s/vocab.json", folder);
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

// ---- SentencePiece as tokenizer.json ----

static int next_line(void *user, const char **text, size_t *bytes, struct slt_error *err)
{
    (void)err;
    char **at = user, *end = strchr(*at, '\n');
    if (end == NULL)
        return 0;
    *text = *at;
    *bytes = (size_t)(end - *at) + 1;
    *at = end + 1;
    return 1;
}

// Takes the texts of <unk>, <s>, </s> and <pad> out of the added tokens, as the key
// split_special_tokens does that a directory has: they are text in a text.
static json_t *without_special(const void *file, size_t bytes)
{
    json_t *root = json_loadb(file, bytes, 0, NULL), *added = json_object_get(root, "added_tokens");
    for (size_t i = json_array_size(added); i-- > 0;)
        if (json_integer_value(json_object_get(json_array_get(added, i), "id")) < 4)
            json_array_remove(added, i);
    return root;
}

// The tokenizer.json of a model gives its ids: on mixed text, in our own reader of the format.
static void check_same(struct slt_tokenizer *t, struct mixed *m)
{
    struct slt_tokenizer *json = NULL;
    struct slt_error err;
    void *file = NULL;
    size_t bytes = 0;
    CHECK_OK(slt_tokenizer_to_json(&file, &bytes, t, &err), err);
    json_t *root = without_special(file, bytes);
    CHECK_OK(load_tokenizer(&json, root, &err), err);
    json_decref(root);
    const struct slt_tokenizer_info *a = slt_tokenizer_info(t), *b = slt_tokenizer_info(json);
    CHECK(a->vocab_size == b->vocab_size && a->unk == b->unk && a->adds_bos == b->adds_bos,
          "%u and %u tokens", a->vocab_size, b->vocab_size);
    for (uint64_t d = 0; d < 40; d++) {
        struct slt_token_ids one = {0}, two = {0};
        mixed_document(m, d, 1500);
        CHECK_OK(slt_tokenizer_encode(t, &one, m->out, m->bytes, &err), err);
        CHECK_OK(slt_tokenizer_encode(json, &two, m->out, m->bytes, &err), err);
        CHECK(one.count == two.count && memcmp(one.id, two.id, one.count * sizeof *one.id) == 0,
              "document %llu: other ids", (unsigned long long)d);
        slt_token_ids_free(&one);
        slt_token_ids_free(&two);
    }
    slt_tokenizer_free(json);
    free(file);
}

static void test_to_json(struct mixed *m)
{
    char *text = read_text("README.md", NULL), *at = text;
    void *model = NULL;
    size_t bytes = 0;
    struct slt_error err;
    CHECK_OK(slt_tokenizer_train(&model, &bytes, next_line, &at, 600, &err), err);
    put_file("tokenizer.model", model, bytes);
    struct slt_tokenizer *t = open_folder();
    check_same(t, m);
    slt_tokenizer_free(t);
    put_text("added_tokens.json", "{\"the\\u2581\": 601, \"<|im_end|>\": 602}");
    put_text("tokenizer_config.json", "{\"add_bos_token\": true, \"eos_token\": \"<|im_end|>\"}");
    t = open_folder();
    check_same(t, m);
    slt_tokenizer_free(t);
    free(model);
    free(text);
    clear_folder();
}

// Runs of one character, all of one score, as LLaMA's spaces are.
static void test_runs(void)
{
    static const char run[] = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    static const size_t lengths[] = {1, 2, 3, 4, 5, 7, 8, 16};
    struct text_buffer b = {0};
    struct slt_tokenizer *spm = NULL, *json = NULL;
    struct slt_error err;
    void *file = NULL;
    size_t bytes = 0;
    spm_small(&b, &(struct spm_spec){0});
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char piece[64];
        snprintf(piece, sizeof piece, "%.*s", (int)lengths[i], run);
        spm_put_piece(&b, piece, -1e9f, SPM_NORMAL_PIECE);
    }
    CHECK_OK(slt_tokenizer_load(&spm, "runs", b.data, b.bytes, &err), err);
    CHECK_OK(slt_tokenizer_to_json(&file, &bytes, spm, &err), err);
    json_t *root = without_special(file, bytes);
    json_object_set_new(json_object_get(root, "model"), "byte_fallback", json_true());
    CHECK_OK(load_tokenizer(&json, root, &err), err);
    for (size_t n = 1; n < sizeof run; n++) {
        char text[64];
        snprintf(text, sizeof text, "a%.*sb", (int)n, run);
        char *wanted = strdup(ids_of(spm, text));
        check_ids(json, text, wanted);
        free(wanted);
    }
    json_decref(root);
    slt_tokenizer_free(json);
    slt_tokenizer_free(spm);
    free(file);
    free(b.data);
}

// LLaMA's own model, whose runs of spaces have one score and whose texts begin with a space.
static void test_llama(struct mixed *m)
{
    char path[4096];
    struct slt_tokenizer *t = NULL;
    struct slt_error err;
    snprintf(path, sizeof path, "%s/data/tokenizers/llama/tokenizer.model", shared_folder());
    if (access(path, R_OK) != 0) {
        printf("LLaMA's tokenizer: skipped, not under %s\n", shared_folder());
        return;
    }
    CHECK_OK(slt_tokenizer_open(&t, path, NULL, &err), err);
    check_same(t, m);
    slt_tokenizer_free(t);
}

// What the JSON of a small model has, or the sentence that refuses it.
static void check_json(const struct spm_spec *spec, void (*more)(struct text_buffer *),
                       const char *const *wanted)
{
    struct text_buffer b = {0};
    struct spm_model m;
    struct slt_error err = {0};
    void *json = NULL;
    size_t bytes = 0;
    spm_small(&b, spec);
    if (more != NULL)
        more(&b);
    CHECK_OK(spm_model_read(&m, b.data, b.bytes, &err), err);
    const int rc = spm_model_to_json(&json, &bytes, &m, &err);
    const char *text = rc == 0 ? json : err.message;
    for (size_t i = 0; wanted[i] != NULL; i++)
        CHECK(strstr(text, wanted[i]) != NULL, "no %s in %s", wanted[i], text);
    free(json);
    spm_model_clear(&m);
    free(b.data);
}

static void same_score(struct text_buffer *b)
{
    spm_put_piece(b, "on", -1, SPM_NORMAL_PIECE);
}
static void no_character(struct text_buffer *b)
{
    spm_put_piece(b, "qa", -50, SPM_NORMAL_PIECE);
}
static void unused(struct text_buffer *b)
{
    spm_put_piece(b, "ou", -50, SPM_UNUSED_PIECE);
}
static void user_piece(struct text_buffer *b)
{
    spm_put_piece(b, "(x)", 0, SPM_USER_PIECE);
}
static void spaces_behind(struct text_buffer *b)
{
    struct text_buffer m = {0};
    spm_number(&m, 24, 1);
    spm_message(b, 2, &m);
}
static void words(struct text_buffer *b)
{
    struct text_buffer m = {0};
    spm_number(&m, 3, 3);
    spm_message(b, 2, &m);
}
static void rules(struct text_buffer *b)
{
    struct text_buffer m = {0};
    spm_text(&m, 2, "abcd");
    spm_message(b, 3, &m);
}

static void test_json_text(void)
{
    static const struct spm_spec bpe = {0}, spaced = {.adds_space = true},
                                 unigram = {.unigram = true, .removes_spaces = true};
    check_json(&bpe, NULL,
               (const char *[]){"[[\"t\",\"h\"],", "\"normalizers\":[{\"type\":\"Replace\"", NULL});
    check_json(&spaced, NULL, (const char *[]){"\"Prepend\"", "\"Strip\"", NULL});
    check_json(&unigram, NULL,
               (const char *[]){"\"Unigram\"", "\\\\A +|[ \\u2581]+\\\\z", " {2,}", "[\"th\",-1.0]",
                                "\"Split\"", "(?=unk", NULL});
    check_json(&unigram, rules, (const char *[]){"\"Precompiled\"", "\"YWJjZA==\"", NULL});
    check_json(&spaced, user_piece, (const char *[]){"\\\\A\\u2581(?=(?:\\\\(x\\\\))\\\\z)", NULL});
    check_json(&bpe, same_score, (const char *[]){"'on' has the score of another one", NULL});
    check_json(&bpe, no_character,
               (const char *[]){"'qa' is made of a character that is none", NULL});
    check_json(&bpe, unused, (const char *[]){"'ou' is unused", NULL});
    check_json(&bpe, spaces_behind, (const char *[]){"spaces behind words", NULL});
    check_json(&bpe, words, (const char *[]){"words or characters", NULL});
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
    CHECK(text != NULL && mkdtemp(folder) != NULL, "no " VECTORS "mixed.txt, or no folder");
    mixed_open(&m, text);
    test_added();
    test_meaning();
    test_control();
    test_space();
    test_refused();
    test_beside();
    test_json_added();
    test_vocab(&m);
    test_to_json(&m);
    test_runs();
    test_llama(&m);
    test_json_text();
    test_nothing();
    mixed_close(&m);
    rmdir(folder);
    return TEST_END();
}
