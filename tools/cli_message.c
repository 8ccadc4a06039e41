// Messages on stderr, all of one form.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

const char *cli_name = "slt";

static const char *speaker = ""; // before every sentence
static bool holds;
static char held[2048];

void cli_speak_as(const char *who)
{
    speaker = who;
}

void cli_hold_messages(void)
{
    holds = true;
}

void cli_release_messages(bool print)
{
    if (print)
        fputs(held, stderr);
    held[0] = '\0';
    holds = false;
}

// A line on stderr, or for later.
static void put(const char *line)
{
    const size_t at = strlen(held);
    if (holds)
        snprintf(held + at, sizeof held - at, "%s\n", line);
    else
        fprintf(stderr, "%s\n", line);
}

void cli_keep(const char *sentence)
{
    if (holds)
        cli_say("%s", sentence);
}

void cli_say(const char *format, ...)
{
    char sentence[1400], line[1600];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    snprintf(line, sizeof line, "%s: %s%s", cli_name, speaker, sentence);
    put(line);
}

int cli_error(const struct slt_error *err)
{
    // A stopped run ends by the signal that stopped it, which says enough.
    if (err->code != SLT_ERR_STOPPED) {
        cli_say("%s", err->message);
        if (err->hint[0] != '\0') {
            char line[sizeof err->hint + 8];
            snprintf(line, sizeof line, "hint: %s", err->hint);
            put(line);
        }
    }
    return err->code == SLT_ERR_MISMATCH ? 2 : 1;
}
