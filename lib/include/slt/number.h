// Numbers as people type them, and numbers as people read them.
#ifndef SLT_NUMBER_H
#define SLT_NUMBER_H

#include <stddef.h>
#include <stdint.h>

#include "slt/error.h"

// Parses the whole of text as an integer in [min, max]. A suffix K M G T multiplies by powers of
// 1000, Ki Mi Gi Ti by powers of 1024; a decimal point is allowed with a suffix if the result is
// whole ("1.5K"). what names the value in the sentence ("--batch"). Errors: SLT_ERR_RANGE; *value
// is set only on success.
SLT_API int slt_number_parse(int64_t *value, const char *what, const char *text, int64_t min,
                             int64_t max, struct slt_error *err) SLT_CHECK_RESULT;

// Parses the whole of text as a finite decimal number in [min, max], independent of the locale.
SLT_API int slt_real_parse(double *value, const char *what, const char *text, double min,
                           double max, struct slt_error *err) SLT_CHECK_RESULT;

// The position of text among "a|b|c", or -1.
SLT_API int slt_choice_find(const char *choices, const char *text);

// Parses "90", "90s", "15m", "2h", "1d" or "H:MM:SS" as seconds.
SLT_API int slt_duration_parse(double *seconds, const char *what, const char *text,
                               struct slt_error *err) SLT_CHECK_RESULT;

// Writes a byte count for people ("1.23 GB", powers of 1000) into text and returns text.
SLT_API char *slt_bytes_format(char *text, size_t size, uint64_t bytes);

// Writes a duration for people ("42s", "3m07s", "2h05m") into text and returns text.
SLT_API char *slt_duration_format(char *text, size_t size, double seconds);

#endif
