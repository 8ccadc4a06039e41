// What was read, and what was not.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "cli_corpus.h"

static int describe_kind(char *text, size_t size, enum slt_corpus_kind kind, const char *field)
{
    const char *name = slt_corpus_kind_name(kind);
    return kind == SLT_KIND_TEXT ? snprintf(text, size, "%s", name)
                                 : snprintf(text, size, "%s, field \"%s\"", name, field);
}

void cli_corpus_tell(void *teller, const char *name, enum slt_corpus_kind kind)
{
    struct cli_corpus_teller *t = teller;
    char text[300];
    if (t->last == (int)kind)
        return;
    t->last = (int)kind;
    describe_kind(text, sizeof text, kind, t->field);
    cli_say("%s: %s", name, text);
}

void cli_corpus_describe(char *text, size_t size, const struct slt_corpus_counts *counts,
                         const char *field)
{
    int used = 0;
    snprintf(text, size, "nothing");
    for (int kind = 0; kind < SLT_CORPUS_KINDS; kind++) {
        const uint64_t files = counts->kinds[kind];
        if (files == 0 || used < 0 || (size_t)used >= size)
            continue;
        if (files < counts->members)
            used += snprintf(text + used, size - (size_t)used, "%s%llu file%s of ",
                             used > 0 ? ", " : "", (unsigned long long)files, files > 1 ? "s" : "");
        if ((size_t)used < size)
            used +=
                describe_kind(text + used, size - (size_t)used, (enum slt_corpus_kind)kind, field);
    }
}

void cli_corpus_report_skips(const struct slt_corpus *corpus)
{
    const struct slt_corpus_counts *c = slt_corpus_counts(corpus);
    for (int why = 0; why < SLT_CORPUS_SKIPS; why++)
        if (c->skipped[why] > 0)
            cli_say("skipped %llu %s; the first: %s", (unsigned long long)c->skipped[why],
                    slt_corpus_skip_name((enum slt_corpus_skip)why, c->skipped[why]),
                    slt_corpus_first_skip(corpus, (enum slt_corpus_skip)why));
    if (c->empty > 0)
        cli_say("%llu file%s empty", (unsigned long long)c->empty, c->empty > 1 ? "s are" : " is");
}

int cli_corpus_check_skips(const struct slt_corpus *corpus, double most, struct slt_error *err)
{
    const struct slt_corpus_counts *c = slt_corpus_counts(corpus);
    uint64_t skipped = 0;
    int first = -1;
    for (int why = 0; why < SLT_CORPUS_SKIPS; why++) {
        if (c->skipped[why] > 0 && (first < 0 || c->skipped[why] > c->skipped[first]))
            first = why;
        skipped += c->skipped[why];
    }
    const double all = (double)(skipped + c->documents), share = (double)skipped / all;
    if (skipped == 0 || (c->documents > 0 && share <= most + 1e-12))
        return 0;
    const int rc = slt_error_set(
        err, SLT_ERR_FORMAT,
        "%llu of %llu documents had to be skipped, among them %llu %s, the first of them %s",
        (unsigned long long)skipped, (unsigned long long)(skipped + c->documents),
        (unsigned long long)c->skipped[first],
        slt_corpus_skip_name((enum slt_corpus_skip)first, c->skipped[first]),
        slt_corpus_first_skip(corpus, (enum slt_corpus_skip)first));
    if (first == SLT_SKIP_NO_UTF8)
        slt_error_hint(err, rc, "'iconv -f ISO-8859-1 -t UTF-8' converts Latin-1 text");
    else if (c->documents > 0)
        slt_error_hint(err, rc, "--max-skipped %.2g lets that pass", ceil(share * 100) / 100);
    return rc;
}
