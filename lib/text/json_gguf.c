// The names that GGUF files have for ways of splitting text.
#include "text/json_tokenizer.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LETTERS      CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define REST         " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

// The patterns as tokenizer.json files have them.
static const struct {
    const char *name;
    bool ignores_merges;
    size_t count;
    const char *pattern[2];
} ways[] = {
    {"gpt-2", false, 1, {WORDS_GPT2_PATTERN}},
    {"starcoder", false, 2, {"\\p{N}", WORDS_GPT2_PATTERN}},
    {"llama-bpe", true, 1, {LETTERS "|\\p{N}{1,3}|" REST}},
    {"smaug-bpe", false, 1, {LETTERS "|\\p{N}{1,3}|" REST}},
    {"qwen2", false, 1, {LETTERS "|\\p{N}|" REST}},
    {"gpt-4o",
     false,
     1,
     {"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
      "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" CONTRACTIONS "?|"
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
      "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" CONTRACTIONS "?|\\p{N}{1,3}|"
      " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
};

static bool is_way(const struct words *w, size_t count, const char *const *pattern)
{
    bool same = w->count == count;
    for (size_t i = 0; same && i < count; i++)
        same = w->step[i].source != NULL && strcmp(w->step[i].source, pattern[i]) == 0 &&
               w->step[i].behaviour == SPLIT_ISOLATED && !w->step[i].invert;
    return same;
}

const char *json_tokenizer_pattern(const char *name)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strcmp(ways[i].name, name) == 0)
            return ways[i].pattern[ways[i].count - 1];
    return NULL;
}

const char *json_tokenizer_gguf_pre(const struct json_tokenizer *t)
{
    // llama.cpp knows NFC of none, and reads texts as if they had it.
    for (size_t i = 0; i < t->normalizer.count; i++)
        if (t->normalizer.step[i].kind != NORMAL_FORM ||
            t->normalizer.step[i].form != normalize_form("NFC"))
            return NULL;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (t->bpe.ignore_merges == ways[i].ignores_merges &&
            is_way(&t->words, ways[i].count, ways[i].pattern))
            return ways[i].name;
    return NULL;
}
