// Making tokenizer.json files.
#include "text/json_extend.h"

#include "core/json.h"
#include "text/json_tokenizer.h"

static json_t *token_object(const struct token_addition *t)
{
    return json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)t->id, "content",
                     t->text, "single_word", t->single_word, "lstrip", t->lstrip, "rstrip",
                     t->rstrip, "normalized", t->normalized, "special", t->special);
}

static int no_memory(struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a tokenizer.json");
}

// ---- More tokens ----

// Whether a list of added tokens has this one; *clash if it has its id or its text otherwise.
static bool has_token(const json_t *list, const struct token_addition *t, bool *clash)
{
    const json_t *one;
    size_t i;
    json_array_foreach (list, i, one) {
        const bool same_text = strcmp(slt_json_string(one, "content"), t->text) == 0;
        const bool same_id = json_integer_value(json_object_get(one, "id")) == (json_int_t)t->id;
        if (same_text && same_id)
            return true;
        *clash = *clash || same_text || same_id;
    }
    return false;
}

static const char *text_of_id(json_t *vocab, uint32_t id)
{
    const char *text;
    json_t *value;
    json_object_foreach (vocab, text, value)
        if (json_integer_value(value) == (json_int_t)id)
            return text;
    return NULL;
}

static int add_token(json_t *list, json_t *vocab, const struct token_addition *t, bool *added,
                     struct slt_error *err)
{
    bool clash = false;
    if (has_token(list, t, &clash))
        return 0;
    const json_t *piece = json_object_get(vocab, t->text);
    const char *other = piece == NULL ? text_of_id(vocab, t->id) : NULL;
    if (clash || other != NULL || (piece != NULL && json_integer_value(piece) != (json_int_t)t->id))
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "its added token '%.40s' has two ids, or its id %u is another's",
                             t->text, t->id);
    *added = true;
    return json_array_append_new(list, token_object(t)) == 0 ? 0 : no_memory(err);
}

// Whether a space is put before a text, as the files beside it say. Where splitting has more than
// this one step, nobody takes it from there.
static int set_space(json_t *root, const struct token_additions *a, bool *changed,
                     struct slt_error *err)
{
    static const char key[] = "add_prefix_space";
    json_t *split = json_object_get(root, "pre_tokenizer");
    const bool adds_space = a->space == SPACE_BEFORE,
               own = json_is_true(json_object_get(split, key));
    if (a->space == SPACE_AS_IS || strcmp(slt_json_string(split, "type"), "ByteLevel") != 0 ||
        own == adds_space)
        return 0;
    if (a->doubts_space)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "its %s is %s, which contradicts tokenizer_config.json: which one "
                             "counts is not known of this tokenizer_class",
                             key, own ? "true" : "false");
    *changed = true;
    return json_object_set_new(split, key, json_boolean(adds_space)) == 0 ? 0 : no_memory(err);
}

int json_tokenizer_extend(void **file, size_t *file_bytes, const void *data, size_t bytes,
                          const struct token_additions *additions, struct slt_error *err)
{
    json_t *root = NULL;
    bool added = false;
    int rc = json_tokenizer_parse(&root, "tokenizer.json", data, bytes, err);
    if (rc != 0)
        return rc;
    json_t *list = json_object_get(root, "added_tokens");
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    if (!json_is_array(list)) {
        list = json_array();
        rc = json_object_set_new(root, "added_tokens", list) == 0 ? 0 : no_memory(err);
    }
    for (size_t i = 0; rc == 0 && i < additions->count; i++)
        rc = add_token(list, vocab, &additions->token[i], &added, err);
    if (rc == 0)
        rc = set_space(root, additions, &added, err);
    if (rc == 0 && added) {
        rc = json_tokenizer_print(file, file_bytes, root, err);
    } else if (rc == 0) {
        *file = malloc(bytes + 1);
        *file_bytes = bytes;
        rc = *file == NULL ? no_memory(err) : 0;
        if (rc == 0)
            memcpy(*file, data, bytes);
    }
    json_decref(root);
    return rc;
}

// ---- vocab.json and merges.txt ----

// The value of the first key is a number, which no member of a tokenizer.json is.
bool json_tokenizer_is_vocab(const void *data, size_t bytes)
{
    const char *p = data, *const end = p + bytes;
    while (p < end && strchr(" \t\r\n", *p) != NULL && *p != '\0')
        p++;
    if (p == end || *p++ != '{')
        return false;
    while (p < end && strchr(" \t\r\n", *p) != NULL && *p != '\0')
        p++;
    if (p == end || *p++ != '"')
        return false;
    for (; p < end && *p != '"'; p++)
        p += *p == '\\';
    for (p++; p < end && (strchr(" \t\r\n", *p) != NULL || *p == ':') && *p != '\0'; p++)
        ;
    return p < end && *p >= '0' && *p <= '9';
}

// Lines "a b" behind one with the version, which may be missing.
static json_t *merges_of(const char *text, size_t bytes)
{
    static const char version[] = "#version";
    json_t *list = json_array();
    const char *const end = text + bytes;
    for (size_t number = 0; text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t length = (size_t)((newline != NULL ? newline : end) - text);
        const char *next = text + length + (newline != NULL);
        length -= length > 0 && text[length - 1] == '\r';
        const bool is_version = number == 0 && length >= sizeof version - 1 &&
                                memcmp(text, version, sizeof version - 1) == 0;
        if (length > 0 && !is_version &&
            json_array_append_new(list, json_stringn(text, length)) != 0) {
            json_decref(list);
            return NULL;
        }
        text = next;
    }
    return list;
}

static json_t *split_of(const struct byte_level_files *f)
{
    json_t *bytes =
        json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", f->adds_space,
                  "trim_offsets", true, "use_regex", f->way == BYTE_LEVEL_GPT2);
    if (f->way == BYTE_LEVEL_GPT2)
        return bytes;
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers",
                     "type", "Split", "pattern", "Regex", json_tokenizer_pattern("qwen2"),
                     "behavior", "Isolated", "invert", false, bytes);
}

// The tokens that are special wherever they are pieces.
static int add_known(json_t *list, const json_t *vocab, struct slt_error *err)
{
    static const char *const known[] = {"<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const json_t *id = json_object_get(vocab, known[i]);
        const struct token_addition t = {.text = known[i],
                                         .id = (uint32_t)json_integer_value(id),
                                         .special = true,
                                         .lstrip = strcmp(known[i], "<mask>") == 0};
        if (json_is_integer(id) && json_array_append_new(list, token_object(&t)) != 0)
            return no_memory(err);
    }
    return 0;
}

int json_tokenizer_from_vocab(void **file, size_t *file_bytes, const struct byte_level_files *f,
                              struct slt_error *err)
{
    json_t *vocab = NULL;
    int rc = json_tokenizer_parse(&vocab, "vocab.json", f->vocab, f->vocab_bytes, err);
    if (rc != 0)
        return rc;
    json_t *added = json_array(), *merges = merges_of(f->merges, f->merges_bytes);
    json_t *normalizer =
        f->way == BYTE_LEVEL_QWEN2 ? json_pack("{s:s}", "type", "NFC") : json_null();
    rc = add_known(added, vocab, err);
    json_t *root = json_pack(
        "{s:s, s:n, s:n, s:o, s:o, s:o, s:n, s:{s:s, s:b, s:b, s:b}, s:{s:s, s:n, s:n, s:s, s:s, "
        "s:b, s:b, s:o, s:o}}",
        "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer", normalizer,
        "pre_tokenizer", split_of(f), "post_processor", "decoder", "type", "ByteLevel",
        "add_prefix_space", f->adds_space, "trim_offsets", true, "use_regex", true, "model", "type",
        "BPE", "dropout", "unk_token", "continuing_subword_prefix", "", "end_of_word_suffix", "",
        "fuse_unk", false, "byte_fallback", false, "vocab", vocab, "merges", merges);
    if (rc == 0 && root == NULL)
        rc = slt_error_set(err, SLT_ERR_FORMAT, "its merges.txt is not UTF-8, or memory is short");
    if (rc == 0)
        rc = json_tokenizer_print(file, file_bytes, root, err);
    json_decref(root);
    return rc;
}
