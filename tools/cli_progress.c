// The progress line.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "slt/clock.h"

void cli_progress_start(struct cli_progress *p, const struct cli_common *common)
{
    *p = (struct cli_progress){
        .terminal = isatty(2) == 1, .quiet = common->quiet, .verbose = common->verbose > 0};
}

bool cli_progress_due(struct cli_progress *p)
{
    const double since = slt_clock_now() - p->last;
    if (cli_progress_asked()) {
        p->last = 0;
        return true;
    }
    if (p->quiet)
        return false;
    return p->terminal ? since >= 0.2 : p->verbose && since >= 10;
}

void cli_progress_line(struct cli_progress *p, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const int width = (int)strlen(text);
    if (p->terminal && !p->quiet)
        fprintf(stderr, "\r%s%*s", text, p->width > width ? p->width - width : 0, "");
    else
        cli_say("%s", text);
    fflush(stderr);
    p->width = width;
    p->last = slt_clock_now();
}

void cli_progress_clear(struct cli_progress *p)
{
    if (p->terminal && !p->quiet && p->width > 0)
        fprintf(stderr, "\r%*s\r", p->width, "");
    p->width = 0;
}
