// Tokenizers of kind tokenizer.json: ids of Hugging Face's tokenizers on mixed text (see
// tests/vectors/make_tokenizers.py), text that comes back byte for byte, and what is refused.
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

static struct slt_tokenizer *tokenizer_of(const json_t *c)
{
    const char *name = json_string_value(json_object_get(c, "base"));
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_error err;
    if (strcmp(name, "torchtitan") == 0) { // as it is: its NULs are none for jansson
        char path[4096];
        size_t bytes;
        snprintf(path, sizeof path, "%s/data/tokenizers/bpe_test/torchtitan_tokenizer.json",
                 shared_folder());
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

// The digest of all ids, each as four bytes, and 2^32-1 behind each document.
static void check_case(const json_t *c, struct mixed *m)
{
    const char *name = json_string_value(json_object_get(c, "name"));
    struct slt_tokenizer *tokenizer = tokenizer_of(c);
    struct slt_token_ids ids = {0};
    struct slt_sha256 *sha = NULL;
    struct slt_error err;
    unsigned char digest[SLT_SHA256_BYTES];
    char hex[SLT_SHA256_HEX];
    size_t count = 0, bytes = 0;
    static const unsigned char end[4] = {255, 255, 255, 255};
    if (tokenizer == NULL) {
        printf("%s: skipped, no vocabulary under %s\n", name, shared_folder());
        return;
    }
    CHECK_OK(slt_sha256_create(&sha, &err), err);
    const json_int_t documents = json_integer_value(json_object_get(c, "documents"));
    for (json_int_t i = 0; i < documents; i++) {
        mixed_document(m, (uint64_t)i, 1500);
        ids.count = 0;
        CHECK_OK(slt_tokenizer_encode(tokenizer, &ids, m->out, m->bytes, &err), err);
        slt_sha256_update(sha, ids.id, ids.count * sizeof *ids.id);
        slt_sha256_update(sha, end, sizeof end);
        count += ids.count;
        bytes += m->bytes;
    }
    slt_sha256_finish(sha, digest);
    CHECK(bytes == (size_t)json_integer_value(json_object_get(c, "bytes")), "%s: %zu bytes", name,
          bytes);
    CHECK(count == (size_t)json_integer_value(json_object_get(c, "ids")), "%s: %zu ids", name,
          count);
    CHECK(strcmp(slt_sha256_hex(hex, digest),
                 json_string_value(json_object_get(c, "sha256"))) == 0,
          "%s: other ids", name);
    slt_sha256_free(sha);
    slt_token_ids_free(&ids);
    slt_tokenizer_free(tokenizer);
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
        if (strcmp(json_string_value(json_object_get(c, "name")), name) != 0)
            continue;
        struct slt_tokenizer *tokenizer = tokenizer_of(c);
        for (json_int_t d = 0; d < json_integer_value(json_object_get(c, "documents")); d++) {
            struct slt_token_ids ids = {0};
            mixed_document(m, (uint64_t)d, 1500);
            slt_tokenizer_encode(tokenizer, &ids, m->out, m->bytes, NULL);
            for (size_t k = 0; k < ids.count; k++)
                printf(k > 0 ? " %u" : "%u", ids.id[k]);
            putchar('\n');
            slt_token_ids_free(&ids);
        }
        slt_tokenizer_free(tokenizer);
    }
    json_decref(cases);
    return 0;
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
    mixed_close(&m);
    return TEST_END();
}
