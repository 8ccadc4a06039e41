// Patterns of tokenizer.json, which Hugging Face matches with Oniguruma, for PCRE2.
#ifndef SLT_TEXT_PATTERN_H
#define SLT_TEXT_PATTERN_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>

#include "slt/error.h"

// Compiles a pattern so that it matches as in Oniguruma's Ruby syntax: classes of characters are
// Unicode's, and what means something else in PCRE2 is rewritten or refused by name
// (SLT_ERR_FORMAT). Its machine code is made where the library can.
int pattern_compile(pcre2_code **code, const char *pattern, struct slt_error *err) SLT_CHECK_RESULT;
// As it, for text that stands for itself.
int pattern_compile_text(pcre2_code **code, const char *text,
                         struct slt_error *err) SLT_CHECK_RESULT;
// Whether pcre2_jit_match may be used.
bool pattern_has_jit(const pcre2_code *code);

#endif
