// SentencePiece models as tokenizer.json files: the same ids, in our own reader of these, and what
// cannot be written.
#include "mixed.h"
#include "spm_files.h"
#include "text/to_json.h"
#include "tokenizer_folder.h"
#include "tokenizers.h"

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

int main(void)
{
    struct mixed m;
    char *text = read_text(VECTORS "mixed.txt", NULL);
    CHECK(text != NULL && mkdtemp(test_folder) != NULL, "no " VECTORS "mixed.txt, or no folder");
    mixed_open(&m, text);
    test_to_json(&m);
    test_runs();
    test_llama(&m);
    test_json_text();
    mixed_close(&m);
    rmdir(test_folder);
    return TEST_END();
}
