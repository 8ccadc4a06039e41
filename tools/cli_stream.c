// Opening and closing the streams of a tool.
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

void cli_keep_apart(const char *what, const char *path, const char *other, const char *other_path)
{
    struct stat a, b;
    if (path == NULL || other_path == NULL || strcmp(path, "-") == 0 ||
        strcmp(other_path, "-") == 0)
        return;
    const bool same = stat(path, &a) == 0 && stat(other_path, &b) == 0 && S_ISREG(a.st_mode) &&
                      a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    if (same || strcmp(path, other_path) == 0)
        cli_usage("%s and %s are the same file: '%s'", what, other, path);
}

int cli_open_input(struct slt_input **in, const char *path, slt_stop_flag *stop)
{
    struct slt_error err;
    if (slt_input_open(in, path, stop, &err) != 0)
        return cli_error(&err);
    if (slt_input_is_terminal(*in)) {
        cli_say("cannot read binary data from a terminal");
        slt_input_close(*in);
        *in = NULL;
        return 2;
    }
    return 0;
}

int cli_open_binary_output(struct slt_output **out, const char *path, slt_stop_flag *stop)
{
    struct slt_error err;
    if (slt_output_open(out, path, stop, &err) != 0)
        return cli_error(&err);
    if (slt_output_is_terminal(*out)) {
        cli_say("cannot write binary data to a terminal");
        slt_output_abandon(*out);
        *out = NULL;
        return 2;
    }
    return 0;
}

int cli_close_output(struct slt_output *out, int code)
{
    struct slt_error err;
    if (code != 0) {
        slt_output_abandon(out);
        return code;
    }
    return slt_output_publish(out, &err) != 0 ? cli_error(&err) : 0;
}
