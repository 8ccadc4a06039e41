// Ids of tokenizers on mixed text: those of Hugging Face's tokenizers and of spm_encode, of which
// tests/vectors/make_tokenizers.py has left the digests.
#include "mixed.h"
#include "tokenizers.h"

// ---- Ids ----

static bool has_one_of(const char *text, const char *characters)
{
    for (size_t n; *characters != '\0'; characters += n) {
        char one[5] = {0};
        n = slt_utf8_length(characters, strlen(characters));
        memcpy(one, characters, n);
        if (strstr(text, one) != NULL)
            return true;
    }
    return false;
}

// Takes the pieces with one of these characters out, and their merges.
static void thin_out(json_t *model, const char *characters)
{
    json_t *vocab = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges");
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe (vocab, next, key, value)
        if (has_one_of(key, characters))
            json_object_del(vocab, key);
    for (size_t i = json_array_size(merges); i-- > 0;) {
        const json_t *pair = json_array_get(merges, i);
        if (has_one_of(json_string_value(json_array_get(pair, 0)), characters) ||
            has_one_of(json_string_value(json_array_get(pair, 1)), characters))
            json_array_remove(merges, i);
    }
}

static bool is_sentencepiece(const char *base)
{
    return strstr(base, ".model") != NULL;
}

static struct slt_tokenizer *tokenizer_of(const json_t *c)
{
    const char *name = json_string_value(json_object_get(c, "base"));
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_error err;
    // These as they are: jansson takes no NUL, which torchtitan's has.
    if (strcmp(name, "torchtitan") == 0 || is_sentencepiece(name)) {
        char path[4096];
        size_t bytes;
        snprintf(path, sizeof path, "%s/data/tokenizers/%s", shared_folder(),
                 is_sentencepiece(name) ? name : "bpe_test/torchtitan_tokenizer.json");
        char *text = read_text(path, &bytes);
        if (text != NULL)
            CHECK_OK(slt_tokenizer_load(&tokenizer, path, text, bytes, &err), err);
        free(text);
        return tokenizer;
    }
    json_t *root = tokenizer_base(name), *model = json_object_get(root, "model");
    if (root == NULL)
        return NULL;
    json_object_update(root, json_object_get(c, "root"));
    json_object_update(model, json_object_get(c, "model"));
    const char *without = json_string_value(json_object_get(model, "vocab_without"));
    if (without != NULL)
        thin_out(model, without);
    CHECK_OK(load_tokenizer(&tokenizer, root, &err), err);
    json_decref(root);
    return tokenizer;
}

// What the ids of a case add up to.
struct sum {
    struct slt_tokenizer *tokenizer;
    struct slt_token_ids ids;
    struct slt_sha256 *sha; // of all ids, each as four bytes, and 2^32-1 behind each document
    size_t bytes, count;
    bool prints;
};

static void add_text(struct sum *s, const char *text, size_t bytes)
{
    static const unsigned char end[4] = {255, 255, 255, 255};
    struct slt_error err;
    s->ids.count = 0;
    CHECK_OK(slt_tokenizer_encode(s->tokenizer, &s->ids, text, bytes, &err), err);
    slt_sha256_update(s->sha, s->ids.id, s->ids.count * sizeof *s->ids.id);
    slt_sha256_update(s->sha, end, sizeof end);
    s->count += s->ids.count;
    s->bytes += bytes;
    for (size_t i = 0; s->prints && i < s->ids.count; i++)
        printf(i > 0 ? " %u" : "%u", s->ids.id[i]);
    if (s->prints)
        putchar('\n');
}

// All documents of a case; of SentencePiece models, their lines.
static bool add_case(struct sum *s, const json_t *c, struct mixed *m)
{
    struct slt_error err;
    if ((s->tokenizer = tokenizer_of(c)) == NULL)
        return false;
    CHECK_OK(slt_sha256_create(&s->sha, &err), err);
    for (json_int_t i = 0; i < json_integer_value(json_object_get(c, "documents")); i++) {
        mixed_document(m, (uint64_t)i, 1500);
        if (!is_sentencepiece(json_string_value(json_object_get(c, "base")))) {
            add_text(s, m->out, m->bytes);
            continue;
        }
        for (const char *line = m->out, *end = m->out + m->bytes; line < end;) {
            const char *newline = memchr(line, '\n', (size_t)(end - line));
            const size_t length = (size_t)((newline != NULL ? newline : end) - line);
            if (length > 0)
                add_text(s, line, length);
            line += length + 1;
        }
    }
    return true;
}

static void free_sum(struct sum *s)
{
    slt_sha256_free(s->sha);
    slt_token_ids_free(&s->ids);
    slt_tokenizer_free(s->tokenizer);
}

static void check_case(const json_t *c, struct mixed *m)
{
    const char *name = json_string_value(json_object_get(c, "name"));
    unsigned char digest[SLT_SHA256_BYTES];
    char hex[SLT_SHA256_HEX];
    struct sum s = {0};
    if (!add_case(&s, c, m)) {
        printf("%s: skipped, no vocabulary under %s\n", name, shared_folder());
        return;
    }
    slt_sha256_finish(s.sha, digest);
    CHECK(s.bytes == (size_t)json_integer_value(json_object_get(c, "bytes")), "%s: %zu bytes", name,
          s.bytes);
    CHECK(s.count == (size_t)json_integer_value(json_object_get(c, "ids")), "%s: %zu ids", name,
          s.count);
    CHECK(strcmp(slt_sha256_hex(hex, digest), json_string_value(json_object_get(c, "sha256"))) == 0,
          "%s: other ids", name);
    free_sum(&s);
}

static void test_ids(struct mixed *m)
{
    json_t *cases = read_json(VECTORS "tokenizers.json");
    CHECK(json_array_size(cases) > 50, "no cases");
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(json_array_get(cases, i), m);
    json_decref(cases);
}

// Prints the ids of one case, as make_tokenizers.py CASE does.
static int print_case(const char *name, struct mixed *m)
{
    json_t *cases = read_json(VECTORS "tokenizers.json");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        struct sum s = {.prints = true};
        if (strcmp(json_string_value(json_object_get(c, "name")), name) != 0)
            continue;
        add_case(&s, c, m);
        free_sum(&s);
    }
    json_decref(cases);
    mixed_close(m);
    return 0;
}

// The texts that ggml tests GPT-2's vocabulary with, and their ids.
static void test_ggml(void)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char path[4096];
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_token_ids ids = {0};
    struct slt_error err;
    size_t count = 0;
    json_t *root = tokenizer_base("gpt2");
    snprintf(path, sizeof path, "%s/data/tokenizers/golden/ggml-vocab-gpt-2.gguf.inp",
             shared_folder());
    char *texts = read_text(path, NULL);
    memcpy(path + strlen(path) - 3, "out", 3);
    char *out = read_text(path, NULL), *number = out;
    if (root == NULL || texts == NULL || out == NULL) {
        printf("ggml's texts: skipped, not under %s\n", shared_folder());
        return;
    }
    CHECK_OK(load_tokenizer(&tokenizer, root, &err), err);
    for (char *text = texts, *end; (end = strstr(text, mark)) != NULL; text = end + strlen(mark)) {
        bool equal = true;
        ids.count = 0;
        CHECK_OK(slt_tokenizer_encode(tokenizer, &ids, text, (size_t)(end - text), &err), err);
        char *line_end = strchr(number, '\n');
        *line_end = '\0';
        for (size_t i = 0; i < ids.count; i++)
            equal = strtoul(number, &number, 10) == ids.id[i] && equal;
        CHECK(equal && number + strspn(number, " ") == line_end, "text %zu: other ids", count);
        number = line_end + 1;
        count++;
    }
    CHECK(count > 40, "only %zu texts", count);
    slt_token_ids_free(&ids);
    slt_tokenizer_free(tokenizer);
    json_decref(root);
    free(texts);
    free(out);
}

int main(int argc, char **argv)
{
    struct mixed m;
    char *text = read_text(VECTORS "mixed.txt", NULL);
    if (text == NULL) {
        CHECK(false, "no " VECTORS "mixed.txt");
        return TEST_END();
    }
    mixed_open(&m, text);
    if (argc > 1)
        return print_case(argv[1], &m);
    test_ids(&m);
    test_ggml();
    mixed_close(&m);
    return TEST_END();
}
