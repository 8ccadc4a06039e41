// What somebody may have meant by an option that there is not.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define MAX_NAME 40 // longer names are nobody's mistyped ones

// How near an option is, from near to far.
enum { SAME, INITIALS, CONTAINED, MISTYPED, SHARES_WORD, UNRELATED };

// The name in --Name=value, in lower case, with dashes.
static void normalise(char name[MAX_NAME], const char *word)
{
    size_t n = 0;
    word += strspn(word, "-");
    for (; word[n] != '\0' && word[n] != '=' && n < MAX_NAME - 1; n++)
        name[n] = word[n] == '_' ? '-' : (char)tolower((unsigned char)word[n]);
    name[n] = '\0';
}

// lr of learning-rate.
static bool has_initials(const char *name, const char *initials)
{
    size_t n = 0;
    for (size_t i = 0; name[i] != '\0'; i++)
        if ((i == 0 || name[i - 1] == '-') && initials[n++] != name[i])
            return false;
    return n > 1 && initials[n] == '\0';
}

// Whether word (a whole one, or if is_prefix a beginning of at least three letters) stands in name.
static bool has_word(const char *name, const char *word, size_t length, bool is_prefix)
{
    for (const char *at = name; *at != '\0'; at += strcspn(at, "-"), at += *at == '-')
        if (strncmp(at, word, length) == 0 &&
            (at[length] == '\0' || at[length] == '-' || (is_prefix && length >= 3)))
            return true;
    return false;
}

static bool shares_word(const char *name, const char *option)
{
    for (const char *at = option; *at != '\0'; at += strcspn(at, "-"), at += *at == '-')
        if (strcspn(at, "-") > 2 && has_word(name, at, strcspn(at, "-"), false))
            return true;
    return false;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

// Letters to insert, remove, replace, or exchange with the next one (optimal string alignment).
static int distance(const char *a, const char *b)
{
    int row[3][MAX_NAME + 1];
    const int m = (int)strlen(a), n = (int)strlen(b);
    for (int j = 0; j <= n; j++)
        row[0][j] = j;
    for (int i = 1; i <= m; i++) {
        int *now = row[i % 3], *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= n; j++) {
            now[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return row[m % 3][n];
}

static int nearness(const char *name, const char *option)
{
    const size_t length = strlen(option);
    if (strcmp(name, option) == 0)
        return SAME;
    if (has_initials(name, option) || has_initials(option, name))
        return INITIALS;
    if (has_word(name, option, length, true) || has_word(option, name, strlen(name), true))
        return CONTAINED;
    if (length < MAX_NAME && distance(name, option) <= 1 + (int)strlen(name) / 5)
        return MISTYPED;
    return shares_word(name, option) ? SHARES_WORD : UNRELATED;
}

void cli_suggest(char *text, size_t size, const char *word, const struct cli_option *options,
                 size_t count)
{
    char name[MAX_NAME];
    int best = UNRELATED, found = 0;
    normalise(name, word);
    *text = '\0';
    for (size_t i = 0; i < count && name[0] != '\0'; i++)
        if (options[i].kind != CLI_HEADING)
            best = least(best, nearness(name, options[i].name));
    for (size_t i = 0; i < count && best < UNRELATED && found < 4; i++) {
        const size_t used = strlen(text);
        if (options[i].kind != CLI_HEADING && nearness(name, options[i].name) == best)
            snprintf(text + used, size - used, "%s--%s", found++ > 0 ? ", " : "", options[i].name);
    }
}
