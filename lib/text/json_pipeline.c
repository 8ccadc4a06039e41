// Reading the normalizer and the pre-tokenizer of a tokenizer.json.
#include "core/json.h"
#include "text/json_tokenizer.h"

#define DEEPEST 8 // sequences in sequences

static int no_memory(struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a tokenizer");
}

// ---- Normalizer ----

static int add_replace(struct normal_step *step, const json_t *json, struct slt_error *err)
{
    const char *pattern = slt_json_string(json_object_get(json, "pattern"), "String");
    if (pattern[0] == '\0')
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "its normalizer replaces by a pattern, which is not supported");
    step->kind = NORMAL_REPLACE;
    step->a = strdup(pattern);
    step->b = strdup(slt_json_string(json, "content"));
    return step->a != NULL && step->b != NULL ? 0 : no_memory(err);
}

static int add_normalizer(struct normalizer *n, const json_t *json, int depth,
                          struct slt_error *err)
{
    const char *type = slt_json_string(json, "type");
    const int form = normalize_form(type);
    size_t i;
    const json_t *one;
    int rc = 0;
    if (strcmp(type, "Sequence") == 0 && depth < DEEPEST) {
        json_array_foreach (json_object_get(json, "normalizers"), i, one)
            if ((rc = add_normalizer(n, one, depth + 1, err)) != 0)
                return rc;
        return 0;
    }
    if (n->count == NORMALIZER_STEPS)
        return slt_error_set(err, SLT_ERR_FORMAT, "its normalizer has more than %d steps",
                             NORMALIZER_STEPS);
    struct normal_step *step = &n->step[n->count++];
    if (form >= 0) {
        *step = (struct normal_step){.kind = NORMAL_FORM, .form = form};
        return 0;
    }
    if (strcmp(type, "Replace") == 0)
        return add_replace(step, json, err);
    if (strcmp(type, "Prepend") == 0) {
        *step = (struct normal_step){.kind = NORMAL_PREPEND,
                                     .a = strdup(slt_json_string(json, "prepend"))};
        return step->a != NULL ? 0 : no_memory(err);
    }
    return slt_error_set(err, SLT_ERR_FORMAT, "its normalizer '%.40s' is not supported", type);
}

int json_tokenizer_read_normalizer(struct json_tokenizer *t, const json_t *json,
                                   struct slt_error *err)
{
    const int rc =
        json == NULL || json_is_null(json) ? 0 : add_normalizer(&t->normalizer, json, 0, err);
    for (size_t i = 0; i < t->normalizer.count; i++)
        t->adds_space = t->adds_space || t->normalizer.step[i].kind == NORMAL_PREPEND;
    return rc;
}

// ---- Pre-tokenizer ----

// NULL where there are too many.
static struct word_step *new_step(struct words *w, struct slt_error *err)
{
    if (w->count == WORD_STEPS) {
        slt_error_set(err, SLT_ERR_FORMAT, "its pre-tokenizer has more than %d steps", WORD_STEPS);
        return NULL;
    }
    w->step[w->count] = (struct word_step){0};
    return &w->step[w->count++];
}

static int set_pattern(struct word_step *step, const char *pattern, struct slt_error *err)
{
    const int rc = pattern_compile(&step->code, pattern, err);
    if (rc != 0)
        return rc;
    step->has_jit = pattern_has_jit(step->code);
    step->source = strdup(pattern);
    return step->source != NULL ? 0 : no_memory(err);
}

static int add_split(struct words *w, const json_t *json, struct slt_error *err)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    enum { KNOWN = sizeof names / sizeof *names };
    const char *behaviour = slt_json_string(json, "behavior");
    const json_t *pattern = json_object_get(json, "pattern");
    const char *regex = slt_json_string(pattern, "Regex"),
               *text = slt_json_string(pattern, "String");
    struct word_step *step = new_step(w, err);
    size_t known = 0;
    if (step == NULL)
        return SLT_ERR_FORMAT;
    while (known < KNOWN && strcmp(names[known], behaviour) != 0)
        known++;
    if (known == KNOWN)
        return slt_error_set(err, SLT_ERR_FORMAT, "the behaviour '%.40s' of Split is not supported",
                             behaviour);
    if (regex[0] == '\0' && text[0] == '\0')
        return slt_error_set(err, SLT_ERR_FORMAT, "a Split has no pattern");
    step->behaviour = (enum split_behaviour)known;
    step->invert = slt_json_flag(json, "invert", false);
    if (regex[0] != '\0')
        return set_pattern(step, regex, err);
    const int rc = pattern_compile_text(&step->code, text, err);
    step->has_jit = rc == 0 && pattern_has_jit(step->code);
    return rc;
}

static int add_byte_level(struct json_tokenizer *t, const json_t *json, struct slt_error *err)
{
    t->bpe.by_bytes = true;
    const bool use_regex = slt_json_flag(json, "use_regex", true);
    const bool add_space = slt_json_flag(json, "add_prefix_space", true);
    t->adds_space = t->adds_space || add_space;
    if (!use_regex && !add_space)
        return 0;
    struct word_step *step = new_step(&t->words, err);
    if (step == NULL)
        return SLT_ERR_FORMAT;
    if (add_space) {
        step->prefix = PREFIX_ALWAYS;
        if ((step->space = strdup(" ")) == NULL)
            return no_memory(err);
    }
    return use_regex ? set_pattern(step, WORDS_GPT2_PATTERN, err) : 0;
}

static int add_metaspace(struct json_tokenizer *t, const json_t *json, struct slt_error *err)
{
    const char *space = slt_json_string(json, "replacement");
    const char *scheme = slt_json_string(json, "prepend_scheme");
    struct word_step *step = new_step(&t->words, err);
    if (step == NULL)
        return SLT_ERR_FORMAT;
    if (strlen(space) < 2 || t->words.count > 1)
        return slt_error_set(err, SLT_ERR_FORMAT, "such a Metaspace is not supported");
    if (strcmp(scheme, "never") == 0 || !slt_json_flag(json, "add_prefix_space", true))
        step->prefix = PREFIX_NEVER;
    else
        step->prefix = strcmp(scheme, "first") == 0 ? PREFIX_FIRST : PREFIX_ALWAYS;
    t->adds_space = t->strips_space = step->prefix != PREFIX_NEVER;
    if ((step->space = strdup(space)) == NULL)
        return no_memory(err);
    step->behaviour = SPLIT_MERGED_WITH_NEXT;
    if (!slt_json_flag(json, "split", true))
        return 0;
    const int rc = pattern_compile_text(&step->code, space, err);
    step->has_jit = rc == 0 && pattern_has_jit(step->code);
    return rc;
}

static int add_words(struct json_tokenizer *t, const json_t *json, int depth, struct slt_error *err)
{
    const char *type = slt_json_string(json, "type");
    size_t i;
    const json_t *one;
    int rc;
    if (strcmp(type, "Sequence") == 0 && depth < DEEPEST) {
        json_array_foreach (json_object_get(json, "pretokenizers"), i, one)
            if ((rc = add_words(t, one, depth + 1, err)) != 0)
                return rc;
        return 0;
    }
    if (t->bpe.by_bytes)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "its pre-tokenizer '%.40s' behind ByteLevel is not supported", type);
    if (strcmp(type, "ByteLevel") == 0)
        return add_byte_level(t, json, err);
    if (strcmp(type, "Split") == 0)
        return add_split(&t->words, json, err);
    if (strcmp(type, "Metaspace") == 0)
        return add_metaspace(t, json, err);
    if (strcmp(type, "Digits") == 0) {
        struct word_step *step = new_step(&t->words, err);
        if (step == NULL)
            return SLT_ERR_FORMAT;
        return set_pattern(
            step, slt_json_flag(json, "individual_digits", false) ? "\\p{N}" : "\\p{N}+", err);
    }
    return slt_error_set(err, SLT_ERR_FORMAT, "its pre-tokenizer '%.40s' is not supported", type);
}

int json_tokenizer_read_words(struct json_tokenizer *t, const json_t *json, struct slt_error *err)
{
    return json == NULL || json_is_null(json) ? 0 : add_words(t, json, 0, err);
}
