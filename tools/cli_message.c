// Messages on stderr, all of one form.
#include <stdarg.h>
#include <stdio.h>

#include "cli.h"

const char *cli_name = "slt";

void cli_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", cli_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int cli_error(const struct slt_error *err)
{
    // A stopped run ends by the signal that stopped it, which says enough.
    if (err->code != SLT_ERR_STOPPED) {
        cli_say("%s", err->message);
        if (err->hint[0] != '\0')
            fprintf(stderr, "hint: %s\n", err->hint);
    }
    return err->code == SLT_ERR_MISMATCH ? 2 : 1;
}
