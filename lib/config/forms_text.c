// Linears that differ by layer as text: LAYERS:GROUPS:SETTINGS.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/forms.h"
#include "slt/number.h"

#define ALL_GROUPS ((1u << SLT_GROUP_KINDS) - 1)
#define MAX_TEXT   400

bool slt_group_find(enum slt_group_kind *group, const char *name, size_t length)
{
    for (int k = 0; k < SLT_GROUP_KINDS; k++) {
        const char *known = slt_group_name((enum slt_group_kind)k);
        if (strlen(known) == length && strncmp(known, name, length) == 0) {
            *group = (enum slt_group_kind)k;
            return true;
        }
    }
    return false;
}

static int bad(const char *text, struct slt_error *err, const char *what, const char *word)
{
    return slt_error_set(err, SLT_ERR_RANGE, "layers '%s': %s '%s'", text, what, word);
}

// Ends a word of a list; returns the next one, or NULL.
static char *cut(char *word)
{
    char *comma = strchr(word, ',');
    if (comma != NULL)
        *comma++ = '\0';
    return comma;
}

// A layer's number, or "first" or "last".
static int parse_layer(int64_t *layer, const struct slt_config *c, const char *text,
                       const char *word, struct slt_error *err)
{
    *layer = strcmp(word, "last") == 0 ? c->num_hidden_layers - 1 : 0;
    if (strcmp(word, "first") == 0 || strcmp(word, "last") == 0)
        return 0;
    if (slt_number_parse(layer, "layer", word, 0, c->num_hidden_layers - 1, NULL) == 0)
        return 0;
    char what[80];
    snprintf(what, sizeof what, "of the layers 0 to %lld there is no",
             (long long)c->num_hidden_layers - 1);
    return bad(text, err, what, word);
}

// "3" or "0-5" or "*"; what is not a range begins and ends with the same layer.
static int parse_range(struct slt_layers *l, const struct slt_config *c, const char *text,
                       char *word, struct slt_error *err)
{
    char *dash = strchr(word, '-');
    l->first = 0;
    l->last = c->num_hidden_layers - 1;
    if (strcmp(word, "*") == 0)
        return 0;
    if (dash != NULL)
        *dash = '\0';
    int rc = parse_layer(&l->first, c, text, word, err);
    l->last = l->first;
    if (rc == 0 && dash != NULL && (rc = parse_layer(&l->last, c, text, dash + 1, err)) == 0 &&
        l->last < l->first)
        rc = bad(text, err, "a range ends before it begins, at", dash + 1);
    return rc;
}

static int parse_groups(struct slt_layers *l, const char *text, char *list, struct slt_error *err)
{
    if (strcmp(list, "*") == 0) {
        l->groups = ALL_GROUPS;
        return 0;
    }
    for (char *word = list, *next; word != NULL; word = next) {
        enum slt_group_kind group;
        next = cut(word);
        if (!slt_group_find(&group, word, strlen(word)))
            return bad(text, err, "no group (known: qkv, o, gate_up, down) is", word);
        l->groups |= 1u << group;
    }
    return 0;
}

static int parse_setting(struct slt_layers *l, const char *text, const char *word,
                         struct slt_error *err)
{
    static const char rank[] = "rank=", density[] = "density=";
    if (strcmp(word, "method=full") == 0 && !l->full) {
        l->full = true;
        return 0;
    }
    if (strncmp(word, rank, sizeof rank - 1) == 0 && l->rank == 0 &&
        slt_number_parse(&l->rank, "rank", word + sizeof rank - 1, 1, (int64_t)1 << 24, NULL) == 0)
        return 0;
    if (strncmp(word, density, sizeof density - 1) == 0 && l->density == 0 &&
        slt_real_parse(&l->density, "density", word + sizeof density - 1, 0, 1, NULL) == 0 &&
        l->density > 0)
        return 0;
    return bad(text, err, "neither method=full, rank=N nor density=X, or one of them twice:", word);
}

static int parse_settings(struct slt_layers *l, const char *text, char *list, struct slt_error *err)
{
    int rc = 0;
    for (char *word = list, *next; rc == 0 && word != NULL; word = next) {
        next = cut(word);
        rc = parse_setting(l, text, word, err);
    }
    return rc;
}

int slt_layers_parse(struct slt_config *c, const char *text, struct slt_error *err)
{
    char copy[MAX_TEXT];
    struct slt_layers l = {0};
    const int64_t before = c->layers_count;
    int rc;
    const int length = snprintf(copy, sizeof copy, "%s", text);
    char *groups = strchr(copy, ':'), *settings = groups != NULL ? strchr(groups + 1, ':') : NULL;
    if (length >= (int)sizeof copy || settings == NULL)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "layers '%.100s' are not of the form LAYERS:GROUPS:SETTINGS", text);
    *groups++ = *settings++ = '\0';
    if ((rc = parse_groups(&l, text, groups, err)) != 0 ||
        (rc = parse_settings(&l, text, settings, err)) != 0)
        return rc;
    for (char *word = copy, *next; rc == 0 && word != NULL; word = next) {
        next = cut(word);
        if ((rc = parse_range(&l, c, text, word, err)) == 0 && c->layers_count >= SLT_LAYERS_LIMIT)
            rc = slt_error_set(err, SLT_ERR_RANGE, "more than %d elements of layers",
                               SLT_LAYERS_LIMIT);
        if (rc == 0)
            c->layers[c->layers_count++] = l;
    }
    if (rc != 0)
        c->layers_count = before;
    return rc;
}

// Appends ",word" or the first word.
static void append(char *text, size_t size, const char *separator, const char *word)
{
    const size_t at = strlen(text);
    snprintf(text + at, size - at, "%s%s", separator, word);
}

char *slt_layers_format(char *text, size_t size, const struct slt_layers *l)
{
    char number[40];
    snprintf(text, size, "%lld", (long long)l->first);
    snprintf(number, sizeof number, "%lld", (long long)l->last);
    if (l->last != l->first)
        append(text, size, "-", number);
    append(text, size, ":", l->groups == ALL_GROUPS ? "*" : "");
    bool any = false;
    for (int k = 0; l->groups != ALL_GROUPS && k < SLT_GROUP_KINDS; k++) {
        if ((l->groups >> k & 1) == 0)
            continue;
        append(text, size, any ? "," : "", slt_group_name((enum slt_group_kind)k));
        any = true;
    }
    append(text, size, ":", l->full ? "method=full" : "");
    any = l->full;
    if (l->rank != 0) {
        snprintf(number, sizeof number, "rank=%lld", (long long)l->rank);
        append(text, size, any ? "," : "", number);
        any = true;
    }
    if (l->density != 0) {
        snprintf(number, sizeof number, "density=%.15g", l->density);
        if (strtod(number + sizeof "density=" - 1, NULL) != l->density)
            snprintf(number, sizeof number, "density=%.17g", l->density);
        append(text, size, any ? "," : "", number);
    }
    return text;
}
