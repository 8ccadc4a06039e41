// The tokenizer of a Hugging Face directory, from the files that it may consist of.
//
// A SentencePiece model comes before a tokenizer.json, which such directories have as well: it is
// the original, and what slt-convert writes comes back as it was. What it lacks is in
// tokenizer_config.json (added_tokens_decoder, of newer versions of transformers), in
// added_tokens.json (of older ones) or in the tokenizer.json.
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/json.h"
#include "files/checkpoint_members.h"
#include "files/tokenizer_directory.h"
#include "text/additions.h"
#include "text/json_extend.h"
#include "text/json_tokenizer.h"
#include "text/spm_model.h"

#define TOKENS_MAX ((size_t)1 << 20) // that are added

struct folder {
    const char *path;
    const struct slt_tokenizer_listener *listener; // or NULL
    slt_stop_flag *stop;
    json_t *config, *map,
        *added;      // tokenizer_config.json, special_tokens_map.json, added_tokens.json
    json_t *special; // an object with the texts of special tokens as keys
    struct token_addition *token;
    struct token_additions additions;
};

static int path_of(char path[PATH_MAX], const struct folder *f, const char *name,
                   struct slt_error *err)
{
    const int n = snprintf(path, PATH_MAX, "%s/%s", f->path, name);
    return n > 0 && n < PATH_MAX
               ? 0
               : slt_error_set(err, SLT_ERR_RANGE, "the name '%s' is too long", f->path);
}

// A whole file of the folder; NULL where there is none.
static int read_if_there(void **data, size_t *bytes, const struct folder *f, const char *name,
                         struct slt_error *err)
{
    char path[PATH_MAX];
    bool exists = false;
    *data = NULL;
    *bytes = 0;
    int rc = path_of(path, f, name, err);
    if (rc == 0)
        rc = slt_file_exists(&exists, path, err);
    return rc == 0 && exists ? slt_file_read(data, bytes, path, SLT_TOKENIZER_MAX, f->stop, err)
                             : rc;
}

static int json_if_there(json_t **json, const struct folder *f, const char *name,
                         struct slt_error *err)
{
    char path[PATH_MAX];
    void *data;
    size_t bytes;
    int rc = read_if_there(&data, &bytes, f, name, err);
    if (rc == 0 && data != NULL && (rc = path_of(path, f, name, err)) == 0)
        rc = json_tokenizer_parse(json, path, data, bytes, err);
    free(data);
    return rc;
}

static void note(const struct folder *f, const char *format, ...) SLT_PRINTF(2, 3);
static void note(const struct folder *f, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (f->listener != NULL)
        f->listener->on_note(f->listener->user, text);
}

// ---- What is said of tokens ----

// The text of a token, which is a string or an object with it; NULL if it is neither.
static const char *text_of(const json_t *token)
{
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

static const char *named(const struct folder *f, const char *key)
{
    const char *text = text_of(json_object_get(f->config, key));
    return text != NULL || json_object_get(f->config, key) != NULL
               ? text
               : text_of(json_object_get(f->map, key));
}

static void note_special(json_t *special, const json_t *value)
{
    const json_t *one;
    size_t i;
    if (text_of(value) != NULL)
        json_object_set_new(special, text_of(value), json_true());
    json_array_foreach (value, i, one)
        note_special(special, one);
}

static void find_special(struct folder *f)
{
    static const char *const keys[] = {
        "bos_token", "eos_token", "unk_token",           "sep_token",
        "pad_token", "cls_token", "mask_token",          "additional_special_tokens",
        "eot_token", "eom_token", "extra_special_tokens"};
    f->special = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        note_special(f->special, json_object_get(f->config, keys[i]));
        note_special(f->special, json_object_get(f->map, keys[i]));
    }
}

// Adds a token, unless it is there; a contradiction is an error.
static int add_token(struct folder *f, const json_t *id, const char *text, const json_t *flags,
                     struct slt_error *err)
{
    const json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (text == NULL || *text == '\0' || value < 0 || value > INT32_MAX)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': an added token has no text or no id",
                             f->path);
    for (size_t i = 0; i < f->additions.count; i++) {
        if (f->token[i].id == value && strcmp(f->token[i].text, text) == 0)
            return 0;
        if (f->token[i].id == value || strcmp(f->token[i].text, text) == 0)
            return slt_error_set(err, SLT_ERR_FORMAT,
                                 "'%s': its files contradict each other over the added token "
                                 "'%.40s' (%lld)",
                                 f->path, text, (long long)value);
    }
    struct token_addition *larger =
        f->additions.count < TOKENS_MAX
            ? realloc(f->token, (f->additions.count + 1) * sizeof *larger)
            : NULL;
    if (larger == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the added tokens");
    const bool special = slt_json_flag(flags, "special", json_object_get(f->special, text) != NULL);
    f->token = larger;
    f->token[f->additions.count++] =
        (struct token_addition){.text = text,
                                .id = (uint32_t)value,
                                .special = special,
                                .lstrip = slt_json_flag(flags, "lstrip", false),
                                .rstrip = slt_json_flag(flags, "rstrip", false),
                                .single_word = slt_json_flag(flags, "single_word", false),
                                .normalized = slt_json_flag(flags, "normalized", !special)};
    return 0;
}

static int add_decoder(struct folder *f, struct slt_error *err)
{
    json_t *decoder = json_object_get(f->config, "added_tokens_decoder"), *token;
    const char *key;
    int rc = 0;
    json_object_foreach (decoder, key, token) {
        char *end;
        const long long number = strtoll(key, &end, 10);
        json_t *id = json_integer(*key != '\0' && *end == '\0' ? number : -1);
        rc = add_token(f, id, text_of(token), token, err);
        json_decref(id);
        if (rc != 0)
            break;
    }
    return rc;
}

static int compare_ids(const void *a, const void *b)
{
    const uint32_t x = ((const struct token_addition *)a)->id,
                   y = ((const struct token_addition *)b)->id;
    return (x > y) - (x < y);
}

static int find_additions(struct folder *f, struct slt_error *err)
{
    const char *text;
    json_t *value;
    int rc = json_if_there(&f->config, f, "tokenizer_config.json", err);
    if (rc == 0)
        rc = json_if_there(&f->map, f, "special_tokens_map.json", err);
    if (rc == 0)
        rc = json_if_there(&f->added, f, "added_tokens.json", err);
    if (rc == 0)
        find_special(f);
    if (rc == 0)
        rc = add_decoder(f, err);
    if (rc == 0) {
        json_object_foreach (f->added, text, value)
            if ((rc = add_token(f, value, text, NULL, err)) != 0)
                break;
    }
    return rc;
}

// Whether the class of the tokenizer is one of this family.
static bool is_class(const struct folder *f, const char *family)
{
    const char *name = slt_json_string(f->config, "tokenizer_class");
    return strncmp(name, family, strlen(family)) == 0;
}

// The classes that split as GPT-2's does.
static bool is_like_gpt2(const struct folder *f)
{
    return is_class(f, "GPT2") || is_class(f, "Roberta") || is_class(f, "Bart");
}

// What tokenizer_config.json says of a space before a text.
static enum token_space said_of_space(const struct folder *f, enum token_space otherwise)
{
    const json_t *said = json_object_get(f->config, "add_prefix_space");
    return !json_is_boolean(said) ? otherwise : json_is_true(said) ? SPACE_BEFORE : SPACE_NEVER;
}

// What stands around a text: as the configuration says, else as the class of the tokenizer does.
static void find_meaning(struct folder *f)
{
    struct token_additions *a = &f->additions;
    const bool is_llama = is_class(f, "Llama") || is_class(f, "CodeLlama");
    a->bos = named(f, "bos_token");
    a->eos = named(f, "eos_token");
    a->pad = named(f, "pad_token");
    a->adds_bos = slt_json_flag(f->config, "add_bos_token", is_llama || is_class(f, "Gemma"));
    a->adds_eos = slt_json_flag(f->config, "add_eos_token", is_class(f, "T5"));
    a->space_first = (is_llama || is_class(f, "PreTrainedTokenizerFast")) && // the class we write
                     !slt_json_flag(f->config, "legacy", true);
    if (f->additions.count > 1)
        qsort(f->token, f->additions.count, sizeof *f->token, compare_ids);
    a->token = f->token;
}

static void clear(struct folder *f)
{
    json_decref(f->config);
    json_decref(f->map);
    json_decref(f->added);
    json_decref(f->special);
    free(f->token);
}

// ---- The tokenizers ----

// A file as it is, which says what is wrong with it.
static int load_plain(struct slt_tokenizer **tokenizer, struct folder *f, const char *name,
                      const void *data, size_t bytes, struct slt_error *err)
{
    char path[PATH_MAX];
    const int rc = path_of(path, f, name, err);
    return rc == 0 ? slt_tokenizer_load(tokenizer, path, data, bytes, err) : rc;
}

static int load(struct slt_tokenizer **tokenizer, struct folder *f, const char *name,
                const void *data, size_t bytes, struct slt_error *err)
{
    char path[PATH_MAX];
    int rc = path_of(path, f, name, err);
    find_meaning(f);
    return rc == 0 ? slt_tokenizer_load_with(tokenizer, path, data, bytes, &f->additions, err) : rc;
}

// The added tokens of a tokenizer.json beside the model; none where they are another tokenizer's.
static int add_beside(struct folder *f, const struct spm_model *m, const json_t *added,
                      struct slt_error *err)
{
    const json_t *one;
    size_t i;
    int rc = 0;
    json_array_foreach (added, i, one) {
        const json_int_t id = json_integer_value(json_object_get(one, "id"));
        const char *text = slt_json_string(one, "content");
        if (id >= 0 && id < m->count &&
            (strlen(text) != m->piece[id].bytes ||
             memcmp(text, m->piece[id].text, m->piece[id].bytes) != 0))
            return 0;
    }
    json_array_foreach (added, i, one)
        if (rc == 0)
            rc = add_token(f, json_object_get(one, "id"), text_of(one), one, err);
    return rc;
}

// Whether a step of a tokenizer.json, or one of its steps, puts a space before a text.
static bool puts_space(const json_t *step)
{
    static const char *const lists[] = {"normalizers", "pretokenizers"};
    const char *type = slt_json_string(step, "type"),
               *scheme = slt_json_string(step, "prepend_scheme");
    const json_t *one;
    size_t i;
    bool puts = strcmp(type, "Prepend") == 0;
    if (strcmp(type, "Metaspace") == 0)
        puts = *scheme != '\0' ? strcmp(scheme, "never") != 0
                               : slt_json_flag(step, "add_prefix_space", true);
    for (int k = 0; k < 2; k++)
        json_array_foreach (json_object_get(step, lists[k]), i, one)
            puts = puts || puts_space(one);
    return puts;
}

// Says where the tokenizer.json beside a model, which programs of others take, has other ids for
// the start of a text.
static void compare_spaces(const struct folder *f, const struct slt_tokenizer *t, const char *name,
                           const json_t *beside)
{
    const bool puts = puts_space(json_object_get(beside, "normalizer")) ||
                      puts_space(json_object_get(beside, "pre_tokenizer"));
    if (json_is_object(json_object_get(beside, "model")) && puts != slt_tokenizer_adds_space(t))
        note(f, "'%.300s': %s puts %s space before a text, the tokenizer.json beside it %s",
             f->path, name, puts ? "no" : "a", puts ? "does" : "does not");
}

// A SentencePiece model of this name, with what a tokenizer.json beside it adds. *tokenizer stays
// NULL where there is none, or where the directory has other files and it is no such model: other
// programs have other files of that name.
static int load_sentencepiece(struct slt_tokenizer **tokenizer, struct folder *f, const char *name,
                              struct slt_error *err)
{
    void *data;
    size_t bytes;
    json_t *beside = NULL;
    struct spm_model m;
    int rc = read_if_there(&data, &bytes, f, name, err);
    if (rc != 0 || data == NULL)
        return rc;
    const bool is_model = spm_model_read(&m, data, bytes, NULL) == 0;
    if ((rc = json_if_there(&beside, f, "tokenizer.json", err)) == 0 &&
        (is_model || beside == NULL)) {
        rc = is_model ? add_beside(f, &m, json_object_get(beside, "added_tokens"), err)
                      : load_plain(tokenizer, f, name, data, bytes, err);
        if (rc == 0 && is_model) {
            // Which go by it whatever the model says; versions differ over others.
            if (is_class(f, "Llama") || is_class(f, "CodeLlama"))
                f->additions.space = said_of_space(f, SPACE_AS_IS);
            rc = load(tokenizer, f, name, data, bytes, err);
            if (rc == 0)
                compare_spaces(f, *tokenizer, name, beside);
            f->additions.count = 0; // some texts are the JSON's
        }
    }
    spm_model_clear(&m);
    json_decref(beside);
    free(data);
    return rc;
}

// Whether the class puts a space before a text where tokenizer_config.json says so, and only there,
// whatever the tokenizer.json says.
static bool decides_space(const struct folder *f)
{
    return is_like_gpt2(f) || is_class(f, "Qwen2") || is_class(f, "GPTNeoX");
}

static int load_json(struct slt_tokenizer **tokenizer, struct folder *f, struct slt_error *err)
{
    void *data;
    size_t bytes;
    int rc = read_if_there(&data, &bytes, f, "tokenizer.json", err);
    // Versions of transformers differ over the general class: the newer one takes the tokenizer.json
    // as it is, which is the better guess at what the model was trained with.
    if (!is_class(f, "PreTrainedTokenizer") && !is_class(f, "TokenizersBackend"))
        f->additions.space = said_of_space(f, decides_space(f) ? SPACE_NEVER : SPACE_AS_IS);
    f->additions.doubts_space = !decides_space(f);
    if (rc == 0 && data != NULL)
        rc = load(tokenizer, f, "tokenizer.json", data, bytes, err);
    free(data);
    return rc;
}

// vocab.json and merges.txt of the classes whose way of splitting is known.
static int load_vocab(struct slt_tokenizer **tokenizer, struct folder *f, struct slt_error *err)
{
    void *vocab = NULL, *merges = NULL, *file = NULL;
    size_t bytes;
    struct byte_level_files files = {.adds_space =
                                         slt_json_flag(f->config, "add_prefix_space", false)};
    const bool known = slt_json_string(f->config, "tokenizer_class")[0] == '\0' ||
                       is_like_gpt2(f) || is_class(f, "PreTrainedTokenizerFast");
    int rc = read_if_there(&vocab, &files.vocab_bytes, f, "vocab.json", err);
    if (rc == 0)
        rc = read_if_there(&merges, &files.merges_bytes, f, "merges.txt", err);
    files.vocab = vocab;
    files.merges = merges;
    files.way = is_class(f, "Qwen2") ? BYTE_LEVEL_QWEN2 : BYTE_LEVEL_GPT2;
    if (rc == 0 && vocab != NULL && merges != NULL) {
        if (!known && files.way != BYTE_LEVEL_QWEN2)
            rc = slt_error_set(err, SLT_ERR_FORMAT,
                               "'%s': how a %.60s splits text is not known: save it as a "
                               "tokenizer.json",
                               f->path, slt_json_string(f->config, "tokenizer_class"));
        if (rc == 0 && (rc = json_tokenizer_from_vocab(&file, &bytes, &files, err)) != 0)
            slt_error_prefix(err, rc, "cannot use '%s/vocab.json'", f->path);
        if (rc == 0)
            rc = load(tokenizer, f, "vocab.json", file, bytes, err);
    }
    free(file);
    free(vocab);
    free(merges);
    return rc;
}

// Says which special tokens the tokenizer has no piece for: transformers makes up an id for each,
// beyond the rows of the model.
static void tell_unknown(const struct folder *f, const struct slt_tokenizer *t)
{
    const char *text;
    json_t *value;
    for (uint32_t id = 0; id < slt_tokenizer_info(t)->vocab_size; id++)
        json_object_del(f->special, slt_tokenizer_piece(t, id).text);
    const size_t count = json_object_size(f->special);
    json_object_foreach (f->special, text, value) {
        if (count == 1)
            note(f, "'%.300s': the special token '%.60s' has no id and is text here", f->path,
                 text);
        else
            note(f,
                 "'%.300s': the special tokens '%.60s' and %zu more have no id and are text here",
                 f->path, text, count - 1);
        break;
    }
}

int slt_tokenizer_of_directory(struct slt_tokenizer **tokenizer, const char *directory,
                               const struct slt_tokenizer_listener *listener, slt_stop_flag *stop,
                               struct slt_error *err)
{
    struct folder f = {.path = directory, .listener = listener, .stop = stop};
    *tokenizer = NULL;
    int rc = find_additions(&f, err);
    if (rc == 0)
        rc = load_sentencepiece(tokenizer, &f, "tokenizer.model", err);
    if (rc == 0 && *tokenizer == NULL)
        rc = load_sentencepiece(tokenizer, &f, "spiece.model", err);
    if (rc == 0 && *tokenizer == NULL)
        rc = load_json(tokenizer, &f, err);
    if (rc == 0 && *tokenizer == NULL)
        rc = load_vocab(tokenizer, &f, err);
    if (rc == 0 && *tokenizer != NULL)
        tell_unknown(&f, *tokenizer);
    clear(&f);
    return rc;
}

// ---- Files ----

// A vocab.json, which needs the merges.txt beside it.
static int open_vocab(struct slt_tokenizer **tokenizer, const char *path, slt_stop_flag *stop,
                      struct slt_error *err)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX] = ".";
    if (slash != NULL && (size_t)(slash - path) < sizeof directory)
        snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
    struct folder f = {.path = directory, .stop = stop};
    int rc = find_additions(&f, err);
    if (rc == 0)
        rc = load_vocab(tokenizer, &f, err);
    clear(&f);
    return rc;
}

int slt_tokenizer_open(struct slt_tokenizer **tokenizer, const char *path, slt_stop_flag *stop,
                       struct slt_error *err)
{
    struct stat st;
    void *data = NULL;
    size_t bytes = 0;
    if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        const int rc = slt_tokenizer_of_directory(tokenizer, path, NULL, stop, err);
        return rc != 0 || *tokenizer != NULL
                   ? rc
                   : slt_error_set(err, SLT_ERR_FORMAT,
                                   "'%s' has no tokenizer: no tokenizer.model, spiece.model or "
                                   "tokenizer.json, and not both vocab.json and merges.txt",
                                   path);
    }
    *tokenizer = NULL;
    int rc = slt_file_read(&data, &bytes, path, SLT_TOKENIZER_MAX, stop, err);
    if (rc == 0 && bytes > 0 && json_tokenizer_is_vocab(data, bytes))
        rc = open_vocab(tokenizer, path, stop, err);
    if (rc == 0 && *tokenizer == NULL)
        rc = slt_tokenizer_load(tokenizer, path, data, bytes, err);
    free(data);
    return rc;
}
