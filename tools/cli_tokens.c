// Token files by a name that may be a pattern.
#include <glob.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "slt/tokens.h"

static int open_one(struct slt_tokens **tokens, const char *name, slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_input *in;
    const int code = cli_open_input(&in, name, stop);
    if (code != 0)
        return code;
    return slt_tokens_open(tokens, in, &err) == 0 ? 0 : cli_error(&err);
}

int cli_open_tokens(struct slt_tokens **tokens, const char *name, slt_stop_flag *stop)
{
    struct slt_tokens *first = NULL, *more = NULL;
    struct slt_error err;
    glob_t found;
    // A file of that very name comes first; what matches nothing is reported as a file is.
    if (strpbrk(name, "*?[") == NULL || access(name, F_OK) == 0 || glob(name, 0, NULL, &found) != 0)
        return open_one(tokens, name, stop);
    int code = open_one(&first, found.gl_pathv[0], stop);
    for (size_t i = 1; code == 0 && i < found.gl_pathc; i++)
        if ((code = open_one(&more, found.gl_pathv[i], stop)) == 0 &&
            slt_tokens_join(first, more, &err) != 0)
            code = cli_error(&err);
    globfree(&found);
    if (code != 0)
        slt_tokens_close(first);
    else
        *tokens = first;
    return code;
}
