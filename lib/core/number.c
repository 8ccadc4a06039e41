// Numbers from and for people. Integers are computed exactly; reals do not depend on the locale.
#include <assert.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slt/number.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// The factor of a suffix ("", "K", "Ki", ...), or 0 if there is no such suffix.
static uint64_t suffix_factor(const char *suffix)
{
    static const char letters[] = "KMGT";
    if (*suffix == '\0')
        return 1;
    const char *letter = strchr(letters, *suffix);
    if (letter == NULL)
        return 0;
    uint64_t unit = 1000;
    if (strcmp(suffix + 1, "i") == 0)
        unit = 1024;
    else if (suffix[1] != '\0')
        return 0;
    uint64_t factor = unit;
    for (const char *l = letters; l < letter; l++)
        factor *= unit;
    return factor;
}

// Parses digits[.digits][suffix] as an exact whole number. Returns a reason, or NULL on success.
static const char *parse_magnitude(uint64_t *value, const char *text)
{
    static const char too_large[] = "is too large";
    const char *p = text;
    uint64_t whole = 0, fraction = 0, scale = 1;
    if (!is_digit(*p))
        return "is not a number";
    for (; is_digit(*p); p++)
        if (__builtin_mul_overflow(whole, (uint64_t)10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return too_large;
    const bool has_point = *p == '.';
    if (has_point) {
        if (!is_digit(*++p))
            return "is not a number";
        for (; is_digit(*p); p++) {
            if (scale > UINT64_MAX / 100)
                return "has too many decimals";
            fraction = fraction * 10 + (uint64_t)(*p - '0');
            scale *= 10;
        }
    }
    const uint64_t factor = suffix_factor(p);
    if (factor == 0)
        return "is not a number (suffixes: K M G T, Ki Mi Gi Ti)";
    if (has_point && factor == 1)
        return "is not a whole number";
    // fraction * factor / scale, after what scale and factor have in common is taken from both.
    uint64_t rest = factor;
    while (scale % 2 == 0 && rest % 2 == 0)
        scale /= 2, rest /= 2;
    while (scale % 5 == 0 && rest % 5 == 0)
        scale /= 5, rest /= 5;
    if (fraction % scale != 0)
        return "is not a whole number";
    uint64_t add;
    if (__builtin_mul_overflow(fraction / scale, rest, &add) ||
        __builtin_mul_overflow(whole, factor, &whole) || __builtin_add_overflow(whole, add, &whole))
        return too_large;
    *value = whole;
    return NULL;
}

int slt_number_parse(int64_t *value, const char *what, const char *text, int64_t min, int64_t max,
                     struct slt_error *err)
{
    const bool negative = *text == '-';
    uint64_t magnitude = 0;
    const char *reason = parse_magnitude(&magnitude, text + negative);
    if (reason == NULL && magnitude > (uint64_t)INT64_MAX)
        reason = "is too large";
    if (reason != NULL)
        return slt_error_set(err, SLT_ERR_RANGE, "%s '%s' %s", what, text, reason);
    const int64_t number = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    if (number < min || number > max) {
        if (max == INT64_MAX)
            return slt_error_set(err, SLT_ERR_RANGE, "%s '%s' is less than %lld", what, text,
                                 (long long)min);
        return slt_error_set(err, SLT_ERR_RANGE, "%s '%s' is outside [%lld, %lld]", what, text,
                             (long long)min, (long long)max);
    }
    *value = number;
    return 0;
}

// The end of [+-]digits[.digits][e[+-]digits] at text, or NULL if there is no such number: strtod
// alone would take hexadecimal numbers, "inf", "nan" and leading spaces.
static const char *real_end(const char *text)
{
    const char *p = text;
    size_t digits = 0;
    if (*p == '+' || *p == '-')
        p++;
    for (; is_digit(*p); p++)
        digits++;
    if (*p == '.')
        for (p++; is_digit(*p); p++)
            digits++;
    if (digits == 0)
        return NULL;
    if (*p == 'e' || *p == 'E') {
        const char *exponent = p + 1;
        if (*exponent == '+' || *exponent == '-')
            exponent++;
        if (!is_digit(*exponent))
            return NULL;
        for (p = exponent; is_digit(*p); p++)
            ;
    }
    return p;
}

// strtod with a decimal point whatever the program's locale is.
static int read_real(double *value, const char *text, struct slt_error *err)
{
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0)
        return slt_error_errno(err, "cannot use the C locale");
    locale_t old = uselocale(plain);
    *value = strtod(text, NULL);
    uselocale(old);
    freelocale(plain);
    return 0;
}

int slt_real_parse(double *value, const char *what, const char *text, double min, double max,
                   struct slt_error *err)
{
    double number = 0;
    const char *end = real_end(text);
    if (end == NULL || *end != '\0')
        return slt_error_set(err, SLT_ERR_RANGE, "%s '%s' is not a number", what, text);
    int rc = read_real(&number, text, err);
    if (rc != 0)
        return rc;
    if (!isfinite(number) || number < min || number > max)
        return slt_error_set(err, SLT_ERR_RANGE, "%s '%s' is outside [%g, %g]", what, text, min,
                             max);
    *value = number;
    return 0;
}

// Parses "H:MM:SS"; returns false if text has another form.
static bool parse_clock(double *seconds, const char *text)
{
    uint64_t hours = 0;
    const char *p = text;
    for (; is_digit(*p) && hours < 1000000; p++)
        hours = hours * 10 + (uint64_t)(*p - '0');
    if (p == text || strlen(p) != 6 || p[0] != ':' || p[3] != ':')
        return false;
    if (!is_digit(p[1]) || !is_digit(p[2]) || !is_digit(p[4]) || !is_digit(p[5]) || p[1] > '5' ||
        p[4] > '5')
        return false;
    const int minutes = (p[1] - '0') * 10 + (p[2] - '0');
    const int rest = (p[4] - '0') * 10 + (p[5] - '0');
    *seconds = (double)hours * 3600 + minutes * 60 + rest;
    return true;
}

int slt_duration_parse(double *seconds, const char *what, const char *text, struct slt_error *err)
{
    if (parse_clock(seconds, text))
        return 0;
    const char *end = real_end(text);
    double factor = 1, number = 0;
    if (end == NULL || (*end != '\0' && end[1] != '\0'))
        goto bad;
    switch (*end) {
    case '\0':
    case 's':
        break;
    case 'm':
        factor = 60;
        break;
    case 'h':
        factor = 3600;
        break;
    case 'd':
        factor = 86400;
        break;
    default:
        goto bad;
    }
    int rc = read_real(&number, text, err);
    if (rc != 0)
        return rc;
    number *= factor;
    if (!isfinite(number) || number < 0)
        goto bad;
    *seconds = number;
    return 0;
bad:
    return slt_error_set(err, SLT_ERR_RANGE,
                         "%s '%s' is not a duration (90, 90s, 15m, 2h, 1d or H:MM:SS)", what, text);
}

char *slt_bytes_format(char *text, size_t size, uint64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) {
        snprintf(text, size, "%u B", (unsigned)bytes);
        return text;
    }
    double value = (double)bytes / 1000;
    size_t unit = 0;
    // 999.5 would print as 1000.
    for (; value >= 999.5; unit++)
        value /= 1000;
    assert(unit < sizeof units / sizeof *units);
    const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(text, size, "%.*f %s", decimals, value, units[unit]);
    return text;
}

int slt_choice_find(const char *choices, const char *text)
{
    const size_t length = strlen(text);
    for (int at = 0;; at++) {
        const size_t n = strcspn(choices, "|");
        if (n == length && strncmp(choices, text, n) == 0)
            return at;
        if (choices[n] == '\0')
            return -1;
        choices += n + 1;
    }
}

char *slt_duration_format(char *text, size_t size, double seconds)
{
    if (!(seconds >= 0) || seconds > 1e12) {
        snprintf(text, size, "?");
        return text;
    }
    const unsigned long long s = (unsigned long long)(seconds + 0.5);
    if (s < 60)
        snprintf(text, size, "%llus", s);
    else if (s < 3600)
        snprintf(text, size, "%llum%02llus", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, size, "%lluh%02llum", s / 3600, s % 3600 / 60);
    else
        snprintf(text, size, "%llud%02lluh", s / 86400, s % 86400 / 3600);
    return text;
}
