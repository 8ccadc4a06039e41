// Reading a tokenizer.json: vocabulary, merges, added tokens.
#include <ctype.h>

#include "core/json.h"
#include "core/utf8.h"
#include "text/additions.h"
#include "text/json_tokenizer.h"

// jansson takes no NUL in a key; this noncharacter stands for it meanwhile.
#define NUL_ESCAPE "\\ufdd0"
#define NUL_TEXT   "\xef\xb7\x90"

// ---- Bytes of pieces ----

// The characters that stand for bytes in byte-level pieces (GPT-2's bytes_to_unicode): printable
// ones of Latin-1 for themselves, the rest in their order from U+0100 on.
static uint32_t character_of(int byte)
{
    static const int blanks[][2] = {{0, 0x20}, {0x7f, 0xa0}, {0xad, 0xad}};
    uint32_t count = 0;
    for (int i = 0; i < 3; i++) {
        if (byte >= blanks[i][0] && byte <= blanks[i][1])
            return 0x100 + count + (uint32_t)(byte - blanks[i][0]);
        count += (uint32_t)(blanks[i][1] - blanks[i][0] + 1);
    }
    return (uint32_t)byte;
}

// Whether a piece is "<0xXX>", and which byte.
static bool is_byte(const char *text, size_t bytes, unsigned char *byte)
{
    if (bytes != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' ||
        !isxdigit((unsigned char)text[3]) || !isxdigit((unsigned char)text[4]))
        return false;
    *byte = (unsigned char)strtoul(text + 3, NULL, 16);
    return true;
}

// Adds a piece of the model whose text may have NULs by now. What its text decodes to: in a
// byte-level vocabulary the bytes that its characters stand for, if all do; else in it "<0xXX>" is
// a byte and U+2581 a space.
static int put_piece(struct bpe *b, uint32_t id, const char *text, size_t bytes, char *raw,
                     const int *byte_of, struct slt_error *err)
{
    size_t count = 0, n;
    unsigned char byte;
    bool is_key = true;
    struct vocab_entry entry = {.id = id, .text = text, .text_bytes = bytes, .raw = raw};
    if (b->byte_fallback && is_byte(text, bytes, &byte)) {
        raw[0] = (char)byte;
        b->byte_id[byte] = b->by_bytes ? b->byte_id[byte] : id;
        entry.type = SLT_PIECE_BYTE;
        entry.raw_bytes = 1;
        entry.is_key = true;
        return vocabulary_put(&b->vocabulary, &entry, err);
    }
    for (size_t at = 0; at < bytes; at += n) {
        n = slt_utf8_length(text + at, bytes - at);
        n += n == 0;
        const uint32_t c = slt_utf8_value(text + at, n);
        if (b->by_bytes) {
            if ((is_key = c < 0x144 && byte_of[c] >= 0) == false)
                break;
            raw[count++] = (char)byte_of[c];
        } else if (c == 0x2581) {
            raw[count++] = ' ';
        } else {
            memcpy(raw + count, text + at, n);
            count += n;
        }
    }
    if (!is_key)
        memcpy(raw, text, count = bytes);
    if (b->by_bytes && is_key && count == 1)
        b->byte_id[(unsigned char)raw[0]] = id;
    entry.type = SLT_PIECE_NORMAL;
    entry.raw_bytes = count;
    entry.is_key = is_key;
    return vocabulary_put(&b->vocabulary, &entry, err);
}

// Puts NULs back in place; returns the bytes.
static size_t with_nuls(char *to, const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t at = 0; at < bytes; at++) {
        const bool is_nul = bytes - at >= 3 && memcmp(text + at, NUL_TEXT, 3) == 0;
        to[count++] = is_nul ? '\0' : text[at];
        at += is_nul ? 2 : 0;
    }
    return count;
}

static int read_pieces(struct bpe *b, json_t *vocab, struct slt_error *err)
{
    const char *key;
    json_t *value;
    size_t bytes, longest = 0;
    int byte_of[0x144], rc = 0;
    memset(byte_of, 0xff, sizeof byte_of);
    memset(b->byte_id, 0xff, sizeof b->byte_id);
    for (int i = 0; i < 256; i++)
        byte_of[character_of(i)] = i;
    json_object_keylen_foreach(vocab, key, bytes, value) longest =
        bytes > longest ? bytes : longest;
    char *text = malloc(2 * longest + 2), *raw = text != NULL ? text + longest + 1 : NULL;
    if (text == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a piece");
    json_object_keylen_foreach(vocab, key, bytes, value)
    {
        bytes = with_nuls(text, key, bytes);
        text[bytes] = '\0';
        rc = put_piece(b, (uint32_t)json_integer_value(value), text, bytes, raw, byte_of, err);
        if (rc != 0)
            break;
    }
    free(text);
    return rc;
}

// ---- Ids ----

static int check_id(const json_t *id, const char *text, size_t limit, uint32_t *count,
                    struct slt_error *err)
{
    const json_int_t value = json_integer_value(id);
    if (!json_is_integer(id) || value < 0 || (size_t)value >= limit)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%.40s' has no id, or one that is far too large",
                             text);
    *count = value >= (json_int_t)*count ? (uint32_t)value + 1 : *count;
    return 0;
}

// The number of ids, all of which it checks.
static int count_ids(uint32_t *count, json_t *vocab, const json_t *added, struct slt_error *err)
{
    const size_t limit = 4 * (json_object_size(vocab) + json_array_size(added)) + TOKEN_SPARE_IDS;
    const char *key;
    json_t *value;
    size_t i;
    int rc = 0;
    *count = 0;
    json_object_foreach (vocab, key, value)
        if ((rc = check_id(value, key, limit, count, err)) != 0)
            return rc;
    json_array_foreach (added, i, value) {
        rc = check_id(json_object_get(value, "id"), slt_json_string(value, "content"), limit, count,
                      err);
        if (rc != 0)
            return rc;
    }
    return *count > 0 ? 0 : slt_error_set(err, SLT_ERR_FORMAT, "its vocabulary is empty");
}

// ---- Merges ----

// The two pieces of a merge, "a b" or ["a", "b"].
static bool parse_merge(const json_t *json, const char *part[2], size_t bytes[2])
{
    for (size_t i = 0; i < 2 && json_array_size(json) == 2; i++) {
        part[i] = json_string_value(json_array_get(json, i));
        if (part[i] == NULL)
            return false;
        bytes[i] = json_string_length(json_array_get(json, i));
    }
    if (json_is_array(json))
        return json_array_size(json) == 2;
    const char *text = json_string_value(json), *space = text != NULL ? strchr(text, ' ') : NULL;
    if (space == NULL || strchr(space + 1, ' ') != NULL)
        return false;
    part[0] = text;
    bytes[0] = (size_t)(space - text);
    part[1] = space + 1;
    bytes[1] = strlen(space + 1);
    return true;
}

static int read_merge(struct bpe *b, uint32_t *merged, size_t at, const json_t *json,
                      const json_t *vocab, struct text_buffer *joined, struct slt_error *err)
{
    const char *part[2];
    size_t bytes[2];
    if (!parse_merge(json, part, bytes))
        return slt_error_set(err, SLT_ERR_FORMAT, "its merge %zu is no pair of pieces", at + 1);
    joined->bytes = 0;
    int rc = text_buffer_add(joined, part[0], bytes[0], err);
    if (rc == 0)
        rc = text_buffer_add(joined, part[1], bytes[1], err);
    if (rc != 0)
        return rc;
    const json_t *const ids[3] = {
        json_object_getn(vocab, part[0], bytes[0]), json_object_getn(vocab, part[1], bytes[1]),
        json_object_getn(vocab, joined->data != NULL ? joined->data : "", joined->bytes)};
    if (ids[0] == NULL || ids[1] == NULL || ids[2] == NULL)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "its merge %zu, '%.*s' and '%.*s', is not of its vocabulary", at + 1,
                             (int)(bytes[0] < 40 ? bytes[0] : 40), part[0],
                             (int)(bytes[1] < 40 ? bytes[1] : 40), part[1]);
    b->pair[at][0] = (uint32_t)json_integer_value(ids[0]);
    b->pair[at][1] = (uint32_t)json_integer_value(ids[1]);
    merged[at] = (uint32_t)json_integer_value(ids[2]);
    return 0;
}

static int read_merges(struct bpe *b, const json_t *merges, const json_t *vocab,
                       struct slt_error *err)
{
    const size_t count = json_array_size(merges);
    struct text_buffer joined = {0};
    uint32_t *merged = malloc((count + 1) * sizeof *merged);
    int rc = 0;
    b->pair = malloc((count + 1) * sizeof *b->pair);
    if (merged == NULL || b->pair == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu merges", count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = read_merge(b, merged, i, json_array_get(merges, i), vocab, &joined, err);
    if (rc == 0) {
        b->pairs = count;
        rc = bpe_index(b, merged, err);
    }
    free(joined.data);
    free(merged);
    return rc;
}

// ---- Added tokens ----

static int put_added(struct json_tokenizer *t, const json_t *json, const char *text, bool normal,
                     uint32_t id, struct slt_error *err)
{
    struct text_buffer buffers[2] = {{0}};
    struct added_token token = {
        .id = id,
        .lstrip = json_is_true(json_object_get(json, "lstrip")),
        .rstrip = json_is_true(json_object_get(json, "rstrip")),
        .single_word = json_is_true(json_object_get(json, "single_word")),
    };
    size_t bytes = strlen(text);
    int rc = normal ? normalize(&t->normalizer, buffers, &text, &bytes, true, err) : 0;
    if (rc == 0 && bytes > 0) {
        token.bytes = bytes;
        token.text = malloc(bytes);
        if (token.text == NULL) {
            rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate an added token");
        } else {
            memcpy(token.text, text, bytes);
            rc = added_put(normal ? &t->normal : &t->raw, &token, err);
        }
    }
    free(buffers[0].data);
    free(buffers[1].data);
    return rc;
}

static int read_added(struct json_tokenizer *t, const json_t *added, const json_t *vocab,
                      struct slt_error *err)
{
    struct vocabulary *v = &t->bpe.vocabulary;
    const json_t *json;
    size_t i;
    int rc = 0;
    json_array_foreach (added, i, json) {
        const char *text = slt_json_string(json, "content");
        const uint32_t id = (uint32_t)json_integer_value(json_object_get(json, "id"));
        const json_t *piece = json_object_get(vocab, text);
        const bool special = json_is_true(json_object_get(json, "special"));
        const json_t *normalized = json_object_get(json, "normalized");
        const bool normal = json_is_boolean(normalized) ? json_is_true(normalized) : !special;
        if (text[0] == '\0')
            continue;
        if (piece != NULL && json_integer_value(piece) != id)
            return slt_error_set(err, SLT_ERR_FORMAT, "its added token '%.40s' has two ids", text);
        const struct vocab_entry entry = {.id = id,
                                          .type = SLT_PIECE_USER,
                                          .text = text,
                                          .text_bytes = strlen(text),
                                          .raw = text,
                                          .raw_bytes = strlen(text)};
        if (piece == NULL)
            rc = vocabulary_put(v, &entry, err);
        if (rc == 0)
            rc = put_added(t, json, text, normal, id, err);
        if (rc != 0)
            return rc;
        v->piece[id].type = special ? SLT_PIECE_CONTROL : SLT_PIECE_USER;
    }
    return 0;
}

// ---- The whole ----

// What the model must not have, since it would change the ids.
static int check_model(const json_t *model, struct slt_error *err)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type = slt_json_string(model, "type");
    if (strcmp(type, "Unigram") == 0)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "it is a Unigram tokenizer, which is read from its SentencePiece "
                             "model (spiece.model or tokenizer.model)");
    if (type[0] != '\0' && strcmp(type, "BPE") != 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "its model '%.40s' is not supported", type);
    if (!json_is_object(json_object_get(model, "vocab")) ||
        !json_is_array(json_object_get(model, "merges")))
        return slt_error_set(err, SLT_ERR_FORMAT, "it has no model with a vocabulary and merges");
    if (json_number_value(json_object_get(model, "dropout")) != 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "its dropout is not supported");
    for (int i = 0; i < 2; i++)
        if (slt_json_string(model, affixes[i])[0] != '\0')
            return slt_error_set(err, SLT_ERR_FORMAT, "its %s is not supported", affixes[i]);
    return 0;
}

static int read_unknown(struct bpe *b, const json_t *model, struct slt_error *err)
{
    const char *text = slt_json_string(model, "unk_token");
    const json_t *id = json_object_get(json_object_get(model, "vocab"), text);
    b->unk = SLT_TOKEN_NONE;
    if (text[0] == '\0')
        return 0;
    if (id == NULL)
        return slt_error_set(err, SLT_ERR_FORMAT, "its unk_token '%.40s' is no piece", text);
    b->unk = (uint32_t)json_integer_value(id);
    return 0;
}

static int read_root(struct json_tokenizer *t, const json_t *root, struct slt_error *err)
{
    const json_t *model = json_object_get(root, "model"),
                 *added = json_object_get(root, "added_tokens");
    json_t *vocab = json_object_get(model, "vocab");
    struct bpe *b = &t->bpe;
    uint32_t count;
    int rc = check_model(model, err);
    if (rc != 0 || (rc = count_ids(&count, vocab, added, err)) != 0 ||
        (rc = vocabulary_create(&b->vocabulary, count, err)) != 0 ||
        (rc = json_tokenizer_read_normalizer(t, json_object_get(root, "normalizer"), err)) != 0 ||
        (rc = json_tokenizer_read_words(t, json_object_get(root, "pre_tokenizer"), err)) != 0)
        return rc;
    b->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    b->fuse_unk = json_is_true(json_object_get(model, "fuse_unk"));
    b->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    if (!b->by_bytes && !b->byte_fallback)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "it neither splits into bytes (ByteLevel) nor falls back to them");
    b->byte_fallback = b->byte_fallback && !b->by_bytes;
    t->strips_space = t->strips_space || (!b->by_bytes && t->adds_space);
    if ((rc = read_unknown(b, model, err)) != 0 || (rc = read_pieces(b, vocab, err)) != 0 ||
        (rc = read_merges(b, json_object_get(model, "merges"), vocab, err)) != 0 ||
        (rc = read_added(t, added, vocab, err)) != 0 ||
        (rc = vocabulary_index(&b->vocabulary, b->by_bytes, err)) != 0)
        return rc;
    t->info.vocab_size = count;
    json_tokenizer_find_specials(t, root);
    return 0;
}

// Escapes of NUL as escapes of the noncharacter, in a copy of the JSON.
static char *hide_nuls(const char *data, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    bool escaped = false;
    if (copy == NULL)
        return NULL;
    memcpy(copy, data, bytes);
    for (size_t i = 0; i + 6 <= bytes; i++) {
        if (!escaped && memcmp(copy + i, "\\u0000", 6) == 0)
            memcpy(copy + i, NUL_ESCAPE, 6);
        escaped = !escaped && copy[i] == '\\';
    }
    return copy;
}

int json_tokenizer_parse(json_t **root, const char *name, const void *data, size_t bytes,
                         struct slt_error *err)
{
    char *copy = hide_nuls(data, bytes);
    if (copy == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the tokenizer '%s'", name);
    const int rc = slt_json_parse_python(root, name, copy, bytes, err);
    free(copy);
    return rc;
}

int json_tokenizer_print(void **file, size_t *file_bytes, const json_t *root, struct slt_error *err)
{
    // The only places with the noncharacter are those that had a NUL.
    static const char hidden[] = "\\uFDD0", shown[] = "\\u0000";
    char *text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(17));
    if (text == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a tokenizer.json");
    for (char *at = text; (at = strstr(at, hidden)) != NULL;)
        memcpy(at, shown, sizeof shown - 1);
    *file = text;
    *file_bytes = strlen(text);
    return 0;
}

int json_tokenizer_read(struct json_tokenizer *t, const char *name, const void *data, size_t bytes,
                        struct slt_error *err)
{
    json_t *root = NULL;
    int rc = json_tokenizer_parse(&root, name, data, bytes, err);
    if (rc != 0)
        return rc;
    if ((rc = read_root(t, root, err)) != 0)
        slt_error_prefix(err, rc, "cannot use '%s'", name);
    json_decref(root);
    return rc;
}

void json_tokenizer_clear(struct json_tokenizer *t)
{
    bpe_free(&t->bpe);
    added_free(&t->raw);
    added_free(&t->normal);
    normalizer_free(&t->normalizer);
    words_free(&t->words);
}
