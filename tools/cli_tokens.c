// Token files by names that may be patterns.
#include <assert.h>
#include <errno.h>
#include <glob.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "slt/tokens.h"

// What the program will write, and no token file may be.
static struct {
    const char *option, *path;
} written[3]; // the last one is empty

void cli_keep_from_tokens(const char *option, const char *path)
{
    size_t i = 0;
    while (written[i].option != NULL)
        i++;
    assert(i + 1 < sizeof written / sizeof *written);
    written[i].option = option;
    written[i].path = path;
}

// Opens one file, the first into *tokens, a later one as what follows there.
static int open_one(struct slt_tokens **tokens, const char *name, slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_input *in;
    struct slt_tokens *more = NULL;
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        cli_keep_apart(written[i].option, written[i].path, "--data", name);
    const int code = cli_open_input(&in, name, stop);
    if (code != 0)
        return code;
    int rc = slt_tokens_open(&more, in, &err);
    if (rc == 0 && *tokens == NULL)
        *tokens = more;
    else if (rc == 0)
        rc = slt_tokens_join(*tokens, more, &err);
    return rc == 0 ? 0 : cli_error(&err);
}

// A folder that is not there, or is none, has no files; what else keeps glob from looking may hide
// some.
static int cannot_look(const char *path, int number)
{
    if (number == ENOENT || number == ENOTDIR)
        return 0;
    cli_say("cannot look into '%s': %s", path, strerror(number));
    return 1;
}

static int open_matching(struct slt_tokens **tokens, const char *name, slt_stop_flag *stop)
{
    glob_t found;
    int code = 0;
    // A file of that very name comes first; what matches nothing is reported as a file is.
    if (strpbrk(name, "*?[") == NULL || access(name, F_OK) == 0)
        return open_one(tokens, name, stop);
    const int rc = glob(name, 0, cannot_look, &found);
    if (rc == GLOB_NOMATCH)
        return open_one(tokens, name, stop);
    if (rc == GLOB_NOSPACE)
        cli_say("cannot allocate the names that match '%s'", name);
    if (rc != 0)
        return 1;
    for (size_t i = 0; code == 0 && i < found.gl_pathc; i++)
        code = open_one(tokens, found.gl_pathv[i], stop);
    globfree(&found);
    return code;
}

void cli_compare_ends(const struct slt_tokens *tokens, const struct slt_config *config)
{
    const uint32_t eos = slt_tokens_header(tokens)->eos;
    if (eos != SLT_TOKEN_NONE && config->eos_token_id >= 0 && !slt_config_is_eos(config, eos))
        cli_say("the documents of the token file end with token %u, those of the model with %lld",
                eos, (long long)config->eos_token_id);
}

int cli_open_tokens(struct slt_tokens **tokens, const struct cli_list *names, slt_stop_flag *stop)
{
    struct slt_tokens *all = NULL;
    int code = 0;
    for (size_t i = 0; code == 0 && i < names->count; i++)
        code = open_matching(&all, names->item[i], stop);
    if (code != 0)
        slt_tokens_close(all);
    else
        *tokens = all;
    return code;
}
