// Tokenizers of kind tokenizer.json: text that comes back byte for byte, ids on several threads,
// ids that come one by one, what is known of a file, and what is refused.
#include "mixed.h"
#include "tokenizers.h"

static struct slt_tokenizer *load_base(const char *name)
{
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_error err;
    json_t *root = tokenizer_base(name);
    CHECK_OK(load_tokenizer(&tokenizer, root, &err), err);
    json_decref(root);
    return tokenizer;
}

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    CHECK(json != NULL, "%s", text);
    return json;
}

// The small tokenizer with a part of its root put in place.
static int load_changed(struct slt_tokenizer **tokenizer, const char *base, const char *changes,
                        struct slt_error *err)
{
    json_t *root = tokenizer_base(base), *change = parse(changes);
    json_object_update_recursive(root, change);
    const int rc = load_tokenizer(tokenizer, root, err);
    json_decref(change);
    json_decref(root);
    return rc;
}

// ---- There and back ----

// Bytes of a hash, among them stretches of UTF-8 and of ASCII.
static size_t random_bytes(char *to, size_t most, uint64_t seed)
{
    const size_t count = mixed_draw(seed, 0) % most;
    for (size_t i = 0; i < count; i++) {
        const uint64_t h = mixed_draw(seed, i + 1), stretch = mixed_draw(seed, i / 16 + 1000000);
        to[i] = (char)(stretch % 3 == 0 ? h % 256 : stretch % 3 == 1 ? 32 + h % 95 : 0xc0 + h % 64);
        if (stretch % 3 == 2 && i % 2 == 1) // what follows a first byte
            to[i] = (char)(0x80 + h % 64);
    }
    return count;
}

static bool comes_back(const struct slt_tokenizer *tokenizer, const char *text, size_t bytes,
                       struct slt_token_ids *ids)
{
    struct slt_error err;
    char *back = NULL;
    size_t count = 0;
    ids->count = 0;
    CHECK_OK(slt_tokenizer_encode(tokenizer, ids, text, bytes, &err), err);
    CHECK_OK(slt_tokenizer_decode(tokenizer, &back, &count, ids->id, ids->count, &err), err);
    const bool equal = count == bytes && memcmp(back, text, bytes) == 0;
    free(back);
    return equal;
}

// The same, one id after the other; no piece but the last may end within a character that goes on.
static bool drips_back(const struct slt_tokenizer *tokenizer, const char *text, size_t bytes,
                       const struct slt_token_ids *ids)
{
    struct slt_decoder *decoder = NULL;
    struct slt_error err;
    size_t at = 0, count;
    bool equal = true;
    CHECK_OK(slt_decoder_create(&decoder, tokenizer, &err), err);
    for (size_t i = 0; equal && i <= ids->count; i++) {
        const char *part;
        CHECK_OK(slt_decoder_push(decoder, i < ids->count ? ids->id[i] : SLT_TOKEN_NONE, &part,
                                  &count, &err),
                 err);
        equal = at + count <= bytes && memcmp(part, text + at, count) == 0;
        at += count;
        if (equal && slt_utf8_valid(text, bytes) == bytes)
            equal = slt_utf8_valid(text, at) == at;
    }
    slt_decoder_free(decoder);
    return equal && at == bytes;
}

static void test_bytes_come_back(struct mixed *m)
{
    static const char *const bases[] = {"bytes", "gpt2"};
    static char text[5000];
    for (size_t b = 0; b < 2; b++) {
        struct slt_token_ids ids = {0};
        json_t *there = tokenizer_base(bases[b]);
        json_decref(there);
        if (there == NULL) {
            printf("%s: skipped, no vocabulary under %s\n", bases[b], shared_folder());
            continue;
        }
        struct slt_tokenizer *tokenizer = load_base(bases[b]);
        for (uint64_t seed = 0; seed < 200; seed++) {
            const size_t bytes = random_bytes(text, sizeof text, seed);
            CHECK(comes_back(tokenizer, text, bytes, &ids), "%s: seed %d", bases[b], (int)seed);
        }
        for (uint64_t seed = 0; seed < 5; seed++) {
            mixed_document(m, seed, 300);
            for (char *p = m->out; (p = memchr(p, '<', m->bytes - (size_t)(p - m->out))) != NULL;)
                *p = '>'; // no added token, which would give nothing
            CHECK(comes_back(tokenizer, m->out, m->bytes, &ids), "%s: mixed %d", bases[b],
                  (int)seed);
            CHECK(drips_back(tokenizer, m->out, m->bytes, &ids), "%s: mixed %d, one by one",
                  bases[b], (int)seed);
            const size_t bytes = random_bytes(text, 500, seed);
            comes_back(tokenizer, text, bytes, &ids);
            CHECK(drips_back(tokenizer, text, bytes, &ids), "%s: seed %d, one by one", bases[b],
                  (int)seed);
        }
        slt_token_ids_free(&ids);
        slt_tokenizer_free(tokenizer);
    }
}

// A space is put before a text, not before what goes on behind bytes that are not UTF-8.
static void test_prefix(void)
{
    static const char text[] = "a\xff"
                               "b c\xff\xfe"
                               "d";
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_token_ids ids = {0};
    struct slt_error err;
    char *back = NULL;
    size_t bytes = 0;
    CHECK_OK(load_changed(&tokenizer, "bytes", "{\"pre_tokenizer\": {\"add_prefix_space\": true}}",
                          &err),
             err);
    CHECK(slt_tokenizer_adds_space(tokenizer), "no space");
    CHECK_OK(slt_tokenizer_encode(tokenizer, &ids, text, strlen(text), &err), err);
    CHECK_OK(slt_tokenizer_decode(tokenizer, &back, &bytes, ids.id, ids.count, &err), err);
    CHECK(bytes == strlen(text) + 1 && back[0] == ' ' && strcmp(back + 1, text) == 0, "'%s'", back);
    free(back);
    slt_token_ids_free(&ids);
    slt_tokenizer_free(tokenizer);
}

static void test_spaces_come_back(void)
{
    static const char *const texts[] = {"Hello world", "  two  spaces ", "\xff\xfe", "caf\xc3\xa9",
                                        "\xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80\n"};
    struct slt_tokenizer *tokenizer = load_base("spaces");
    struct slt_token_ids ids = {0};
    CHECK(slt_tokenizer_adds_space(tokenizer), "no space");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK(comes_back(tokenizer, texts[i], strlen(texts[i]), &ids), "%s", texts[i]);
        CHECK(drips_back(tokenizer, texts[i], strlen(texts[i]), &ids), "%s, one by one", texts[i]);
    }
    slt_token_ids_free(&ids);
    slt_tokenizer_free(tokenizer);
}

// A long word and long white space cost about as much as other text.
static void test_long_words(void)
{
    enum { LONG = 1 << 20 };
    struct slt_tokenizer *tokenizer = load_base("bytes");
    struct slt_token_ids ids = {0};
    char *text = malloc(LONG);
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < LONG; i++)
            text[i] = (char)(kind == 0   ? 'a' + mixed_draw(7, i) % 26
                             : kind == 1 ? ' '
                                         : 0x80 + mixed_draw(7, i) % 64);
        CHECK(comes_back(tokenizer, text, LONG, &ids), "kind %d", kind);
    }
    free(text);
    slt_token_ids_free(&ids);
    slt_tokenizer_free(tokenizer);
}

// A prompt may name the end of a document; a document's text does not end it, and comes back.
static void test_end_in_text(void)
{
    static const char *const text = "one<|endoftext|>two";
    const size_t bytes = strlen(text);
    struct slt_tokenizer *tokenizer = load_base("bytes");
    struct slt_token_ids ids = {0};
    struct slt_error err;
    char *back = NULL;
    size_t count, ends = 0;
    CHECK_OK(slt_tokenizer_encode(tokenizer, &ids, text, bytes, &err), err);
    for (size_t i = 0; i < ids.count; i++)
        ends += ids.id[i] == slt_tokenizer_info(tokenizer)->eos;
    CHECK(ends == 1, "%zu ends in a text", ends);
    ids.count = 0;
    CHECK_OK(slt_tokenizer_encode_batch(tokenizer, &ids, &text, &bytes, 1, 1, &err), err);
    for (size_t i = 0; i < ids.count; i++)
        CHECK(ids.id[i] != slt_tokenizer_info(tokenizer)->eos, "an end in a document");
    CHECK_OK(slt_tokenizer_decode(tokenizer, &back, &count, ids.id, ids.count, &err), err);
    CHECK(count == bytes && memcmp(back, text, bytes) == 0, "'%s'", back);
    free(back);
    slt_token_ids_free(&ids);
    slt_tokenizer_free(tokenizer);
}

static void test_threads(struct mixed *m)
{
    enum { TEXTS = 40 };
    struct slt_tokenizer *tokenizer = load_base("bytes");
    struct slt_error err;
    char *text[TEXTS];
    size_t bytes[TEXTS];
    struct slt_token_ids ids[2][TEXTS] = {0};
    for (uint64_t i = 0; i < TEXTS; i++) {
        mixed_document(m, i, 100);
        text[i] = malloc(m->bytes);
        memcpy(text[i], m->out, bytes[i] = m->bytes);
    }
    for (int n = 0; n < 2; n++)
        CHECK_OK(slt_tokenizer_encode_batch(tokenizer, ids[n], (const char *const *)text, bytes,
                                            TEXTS, 3 * n + 1, &err),
                 err);
    for (size_t i = 0; i < TEXTS; i++) {
        CHECK(ids[0][i].count == ids[1][i].count && ids[0][i].count > 0 &&
                  memcmp(ids[0][i].id, ids[1][i].id, ids[0][i].count * sizeof(uint32_t)) == 0,
              "text %zu", i);
        slt_token_ids_free(&ids[0][i]);
        slt_token_ids_free(&ids[1][i]);
        free(text[i]);
    }
    slt_tokenizer_free(tokenizer);
}

// ---- What is known of a file ----

#define TOKEN(id, text) "{\"id\": " #id ", \"content\": \"" text "\", \"special\": true}"

static void test_specials(void)
{
    static const struct {
        const char *changes;
        uint32_t bos, eos, pad;
    } cases[] = {
        {"{}", 0, 0, SLT_TOKEN_NONE}, // <|endoftext|> alone
        {"{\"added_tokens\": [" TOKEN(600, "<s>") ", " TOKEN(601, "</s>") ", " TOKEN(602,
                                                                                     "<pad>") "]}",
         600, 601, 602},
        {"{\"added_tokens\": [" TOKEN(600, "<|begin_of_text|>") ", " TOKEN(
             601, "<|eot_id|>") ", " TOKEN(602,
                                           "<|end_of_text|>") "], \"padding\": {\"pad_token\": "
                                                              "\"<|eot_id|>\"}}",
         600, 602, 601},
        {"{\"added_tokens\": [" TOKEN(600, "[CLS]") ", " TOKEN(
             601, "[SEP]") "], "
                           "\"post_processor\": {\"type\": \"BertProcessing\", \"cls\": "
                           "[\"[CLS]\", 600], "
                           "\"sep\": [\"[SEP]\", 601]}}",
         600, 601, SLT_TOKEN_NONE},
        {"{\"added_tokens\": [" TOKEN(600, "[A]") ", " TOKEN(
             601,
             "[B]") "], "
                    "\"post_processor\": {\"type\": \"Sequence\", \"processors\": [{\"type\": "
                    "\"ByteLevel\"}, "
                    "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": "
                    "\"[A]\"}}, "
                    "{\"Sequence\": {\"id\": \"A\"}}, {\"SpecialToken\": {\"id\": \"[B]\"}}]}]}}",
         600, 601, SLT_TOKEN_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slt_tokenizer *tokenizer = NULL;
        struct slt_error err;
        CHECK_OK(load_changed(&tokenizer, "bytes", cases[i].changes, &err), err);
        if (tokenizer == NULL)
            continue;
        const struct slt_tokenizer_info *info = slt_tokenizer_info(tokenizer);
        CHECK(info->bos == cases[i].bos && info->eos == cases[i].eos && info->pad == cases[i].pad,
              "case %zu: %u %u %u", i, info->bos, info->eos, info->pad);
        slt_tokenizer_free(tokenizer);
    }
}

static void test_pieces(void)
{
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_error err;
    char *text;
    size_t bytes;
    CHECK_OK(
        load_changed(
            &tokenizer, "bytes",
            "{\"added_tokens\": [" TOKEN(
                0, "<|endoftext|>") ", "
                                    "{\"id\": 610, \"content\": \"a b\", \"special\": false}]}",
            &err),
        err);
    const struct slt_tokenizer_info *info = slt_tokenizer_info(tokenizer);
    CHECK(strcmp(info->kind, "tokenizer.json") == 0 && info->vocab_size == 611, "%s, %u",
          info->kind, info->vocab_size);
    CHECK(slt_tokenizer_piece(tokenizer, 0).type == SLT_PIECE_CONTROL, "end of text");
    CHECK(slt_tokenizer_piece(tokenizer, 300).type == SLT_PIECE_NORMAL, "a piece");
    CHECK(slt_tokenizer_piece(tokenizer, 605).type == SLT_PIECE_UNUSED &&
              slt_tokenizer_piece(tokenizer, 605).text[0] == '\0',
          "a hole");
    CHECK(slt_tokenizer_piece(tokenizer, 610).type == SLT_PIECE_USER, "an added token");
    const uint32_t ids[] = {0, 610, 605, 0};
    CHECK_OK(slt_tokenizer_decode(tokenizer, &text, &bytes, ids, 4, &err), err);
    CHECK(bytes == 3 && strcmp(text, "a b") == 0, "'%s'", text);
    free(text);
    const uint32_t beyond = 611;
    CHECK(slt_tokenizer_decode(tokenizer, &text, &bytes, &beyond, 1, &err) == SLT_ERR_RANGE,
          "an id beyond the vocabulary");
    slt_tokenizer_free(tokenizer);
}

// Only two hexadecimal digits make a piece of a byte.
static void test_byte_pieces(void)
{
    static const char *const odd[] = {"<0x-A>", "<0x 1>", "<0xG0>", "<0x1>", "<0x0x>"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct slt_tokenizer *tokenizer = NULL;
        struct slt_error err;
        char changes[100];
        snprintf(changes, sizeof changes, "{\"model\": {\"vocab\": {\"%s\": 600}}}", odd[i]);
        CHECK_OK(load_changed(&tokenizer, "spaces", changes, &err), err);
        CHECK(tokenizer != NULL && slt_tokenizer_piece(tokenizer, 600).type == SLT_PIECE_NORMAL,
              "%s is a byte", odd[i]);
        CHECK(tokenizer != NULL && slt_tokenizer_piece(tokenizer, 3).type == SLT_PIECE_BYTE,
              "<0x00> is none");
        slt_tokenizer_free(tokenizer);
    }
}

// ---- What is refused ----

// Each of eight steps makes a text eight times as long.
static void test_growth(void)
{
    static const char text[] = "abababababababab";
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_token_ids ids = {0};
    struct slt_error err = {0};
    json_t *root = tokenizer_base("bytes"), *steps = json_array();
    for (int i = 0; i < 8; i++)
        json_array_append_new(steps, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern",
                                               "String", i % 2 == 0 ? "a" : "b", "content",
                                               i % 2 == 0 ? "bbbbbbbb" : "aaaaaaaa"));
    json_object_set_new(root, "normalizer",
                        json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps));
    CHECK_OK(load_tokenizer(&tokenizer, root, &err), err);
    CHECK(slt_tokenizer_encode(tokenizer, &ids, text, strlen(text), &err) == SLT_ERR_RANGE &&
              strstr(err.message, "too long") != NULL,
          "%s", err.message);
    slt_token_ids_free(&ids);
    slt_tokenizer_free(tokenizer);
    json_decref(root);
}

#define SPLIT(pattern)                                                                             \
    "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", "      \
    "\"pattern\": {\"Regex\": \"" pattern "\"}, \"behavior\": \"Isolated\"}, "                     \
    "{\"type\": \"ByteLevel\"}]}}"

static void test_refusals(void)
{
    static const struct {
        const char *changes, *says;
    } cases[] = {
        {"{\"model\": {\"type\": \"Unigram\"}}", "SentencePiece"},
        {"{\"model\": {\"type\": \"WordPiece\"}}", "'WordPiece'"},
        {"{\"model\": {\"merges\": 1}}", "vocabulary and merges"},
        {"{\"model\": {\"merges\": [\"a\"]}}", "merge 1 is no pair"},
        {"{\"model\": {\"merges\": [[\"a\", \"b\", \"c\"]]}}", "merge 1 is no pair"},
        {"{\"model\": {\"merges\": [[\"a\", 1]]}}", "merge 1 is no pair"},
        {"{\"model\": {\"merges\": [\"t xyz\"]}}", "'t' and 'xyz', is not of its"},
        {"{\"model\": {\"vocab\": {\"a\": -1}}}", "'a' has no id"},
        {"{\"model\": {\"vocab\": {\"a\": 1e3}}}", "'a' has no id"},
        {"{\"model\": {\"vocab\": {\"a\": 4000000000}}}", "far too large"},
        {"{\"model\": {\"vocab\": {\"a\": 300}}}", "same id 300"},
        {"{\"model\": {\"dropout\": 0.1}}", "dropout"},
        {"{\"model\": {\"end_of_word_suffix\": \"</w>\"}}", "end_of_word_suffix"},
        {"{\"model\": {\"unk_token\": \"nothing\"}}", "'nothing' is no piece"},
        {"{\"added_tokens\": [{\"content\": \"x\"}]}", "'x' has no id"},
        {"{\"added_tokens\": [" TOKEN(601, "a") "]}", "two ids"},
        {"{\"added_tokens\": [" TOKEN(300, "xyz") "]}", "same id"},
        {"{\"normalizer\": {\"type\": \"Lowercase\"}}", "'Lowercase'"},
        {"{\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"a\"}}}", "pattern"},
        {"{\"pre_tokenizer\": {\"type\": \"Whitespace\"}}", "'Whitespace'"},
        {"{\"pre_tokenizer\": null}", "neither splits into bytes"},
        {"{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": "
         "\"ByteLevel\"}, {\"type\": \"Digits\"}]}}",
         "'Digits' behind ByteLevel"},
        {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, "
         "\"behavior\": \"Sideways\"}}",
         "'Sideways'"},
        {"{\"pre_tokenizer\": {\"type\": \"Split\", \"behavior\": \"Isolated\"}}", "no pattern"},
        {SPLIT("[a"), "no end"},
        {SPLIT("[a&&b]"), "'&&'"},
        {SPLIT("[a[b]]"), "'['"},
        {SPLIT("(a"), "not valid"},
        {SPLIT("a{2}+"), "'{2}'"},
        {SPLIT("(?s)a"), "'(?s)'"},
        {SPLIT("\\\\h"), "'\\h'"},
        {SPLIT("(a)\\\\1"), "'\\1'"},
        {SPLIT("\\\\p{Nonsense}"), "not valid"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slt_tokenizer *tokenizer = NULL;
        struct slt_error err = {0};
        CHECK(load_changed(&tokenizer, "bytes", cases[i].changes, &err) == SLT_ERR_FORMAT,
              "%s is taken", cases[i].changes);
        CHECK(strstr(err.message, cases[i].says) != NULL, "%s: %s", cases[i].changes, err.message);
        slt_tokenizer_free(tokenizer);
    }
}

// No byte of a file may be changed or be missing so that a program ends badly.
static void test_damage(void)
{
    struct slt_error err;
    size_t bytes;
    char *text = read_text(VECTORS "tokenizer-spaces.json", &bytes);
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct slt_tokenizer *tokenizer = NULL;
        struct slt_token_ids ids = {0};
        const size_t at = mixed_draw(seed, 0) % bytes;
        const char was = text[at];
        text[at] ^= (char)(1 + mixed_draw(seed, 1) % 127);
        if (slt_tokenizer_load(&tokenizer, "x", text, bytes, &err) == 0) {
            const int rc = slt_tokenizer_encode(tokenizer, &ids, text, bytes, &err);
            CHECK(rc == 0 || rc == err.code, "%d", rc);
        }
        slt_token_ids_free(&ids);
        slt_tokenizer_free(tokenizer);
        text[at] = was;
        tokenizer = NULL;
        if (at > 0 && at + 1 < bytes) // but for the last newline
            CHECK(slt_tokenizer_load(&tokenizer, "x", text, at, &err) == SLT_ERR_FORMAT,
                  "the first %zu bytes are taken", at);
    }
    free(text);
}

int main(void)
{
    struct mixed m;
    char *text = read_text(VECTORS "mixed.txt", NULL);
    if (text == NULL) {
        CHECK(false, "no " VECTORS "mixed.txt");
        return TEST_END();
    }
    mixed_open(&m, text);
    test_bytes_come_back(&m);
    test_prefix();
    test_spaces_come_back();
    test_long_words();
    test_end_in_text();
    test_threads(&m);
    test_specials();
    test_pieces();
    test_byte_pieces();
    test_growth();
    test_refusals();
    test_damage();
    mixed_close(&m);
    return TEST_END();
}
