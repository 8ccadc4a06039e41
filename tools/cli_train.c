// Rows of a program's options from the library's table of training.
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cli_train.h"

// The text of a row in --help: what it does, and its default in parentheses.
static const char *help_of(char *text, size_t size, const struct slt_train_option *f)
{
    char standard[64] = "";
    if (f->shown != NULL)
        snprintf(standard, sizeof standard, "%s", f->shown);
    else if (f->kind == SLT_OPTION_CHOICE)
        snprintf(standard, sizeof standard, "%.*s", (int)strcspn(f->choices, "|"), f->choices);
    else
        snprintf(standard, sizeof standard, "%g", f->standard);
    snprintf(text, size, "%s%s%s%s", f->help, standard[0] != '\0' ? " (" : "", standard,
             standard[0] != '\0' ? ")" : "");
    return text;
}

static struct cli_option row_of(const struct slt_train_option *f, struct slt_train_options *o)
{
    static const enum cli_kind kinds[] = {
        [SLT_OPTION_WHOLE] = CLI_WHOLE,   [SLT_OPTION_REAL] = CLI_REAL,
        [SLT_OPTION_FLAG] = CLI_FLAG,     [SLT_OPTION_CLEAR] = CLI_CLEAR,
        [SLT_OPTION_CHOICE] = CLI_CHOICE, [SLT_OPTION_SCALES] = CLI_SCALES};
    return (struct cli_option){.name = f->name,
                               .letter = f->letter,
                               .kind = kinds[f->kind],
                               .target = (char *)o + f->offset,
                               .arg = f->choices != NULL            ? f->choices
                                      : f->kind == SLT_OPTION_WHOLE ? "N"
                                      : f->kind == SLT_OPTION_REAL  ? "X"
                                                                    : NULL,
                               .min = f->min,
                               .max = f->max};
}

size_t cli_train_options(struct cli_option *rows, size_t count, struct slt_train_options *options,
                         bool to_plan)
{
    static char help[CLI_MAX_OPTIONS][120]; // one program's
    const struct slt_train_option *f;
    const char *section = NULL;
    for (size_t i = 0; (f = slt_train_option(i)) != NULL; i++) {
        assert(count + 1 < CLI_MAX_OPTIONS);
        if (to_plan && !f->plans)
            continue;
        if (section == NULL || strcmp(section, f->section) != 0)
            rows[count++] = (struct cli_option){.kind = CLI_HEADING, .help = f->section};
        section = f->section;
        rows[count] = row_of(f, options);
        rows[count].help = help_of(help[count], sizeof help[count], f);
        count++;
    }
    return count;
}
