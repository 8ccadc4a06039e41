// Maps of matrices, and a pipe to gnuplot.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli_plot.h"

#define MAX_PATH 4096

// ---- What has been written ----

static char **written;
static size_t written_count;

// One that cannot be remembered stays.
static void remember(const char *path)
{
    char **more = realloc(written, (written_count + 1) * sizeof *more);
    char *copy = strdup(path);
    if (more != NULL)
        written = more;
    if (more != NULL && copy != NULL)
        written[written_count++] = copy;
    else
        free(copy);
}

void cli_pictures_end(bool keep)
{
    for (size_t i = 0; i < written_count; i++) {
        if (!keep)
            unlink(written[i]);
        free(written[i]);
    }
    free(written);
    written = NULL;
    written_count = 0;
}

// ---- Maps ----

int cli_map_make(struct cli_map *map, const float *x, int64_t rows, int64_t cols)
{
    const int64_t tall = (rows + CLI_MAP_SIDE - 1) / CLI_MAP_SIDE; // elements of a cell's side
    const int64_t wide = (cols + CLI_MAP_SIDE - 1) / CLI_MAP_SIDE;
    *map = (struct cli_map){.rows = rows,
                            .cols = cols,
                            .height = (int)((rows + tall - 1) / tall),
                            .width = (int)((cols + wide - 1) / wide)};
    map->value = calloc((size_t)map->height * (size_t)map->width, sizeof *map->value);
    if (map->value == NULL) {
        cli_say("cannot allocate a picture of %d x %d", map->width, map->height);
        return 1;
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            const int64_t h = rows - i / tall * tall, w = cols - j / wide * wide;
            const int64_t cell = (h < tall ? h : tall) * (w < wide ? w : wide);
            map->value[i / tall * map->width + j / wide] += fabsf(x[i * cols + j]) / (float)cell;
        }
    return 0;
}

void cli_map_free(struct cli_map *map)
{
    free(map->value);
    map->value = NULL;
}

int cli_map_write(const struct cli_map *map, const char *dir, const char *name, const char *what,
                  double top, slt_stop_flag *stop)
{
    char path[MAX_PATH];
    struct slt_error err;
    struct slt_output *out;
    unsigned char *grey = malloc((size_t)map->width);
    int rc = 0;
    snprintf(path, sizeof path, "%s/%s.%s.pgm", dir, name, what);
    if (grey == NULL) {
        cli_say("cannot allocate a line of a picture");
        return 1;
    }
    if (slt_output_open(&out, path, stop, &err) != 0) {
        free(grey);
        return cli_error(&err);
    }
    rc = slt_output_printf(out, &err, "P5\n# %s of %s, %lld x %lld, white is %.6g\n%d %d\n255\n",
                           what, name, (long long)map->rows, (long long)map->cols, top, map->width,
                           map->height);
    for (int i = 0; rc == 0 && i < map->height; i++) {
        for (int j = 0; j < map->width; j++) {
            const double share = top > 0 ? (double)map->value[i * map->width + j] / top : 0;
            grey[j] = (unsigned char)(share < 1 ? 255 * share + 0.5 : 255);
        }
        rc = slt_output_write(out, grey, (size_t)map->width, &err);
    }
    free(grey);
    remember(path);
    return cli_close_output(out, rc == 0 ? 0 : cli_error(&err));
}

// ---- Gnuplot ----

int cli_gnuplot_check(const char *dir)
{
    if (access(dir, W_OK) != 0) {
        cli_say("cannot write figures to '%s': %s", dir, strerror(errno));
        return 1;
    }
    if (system("command -v gnuplot >/dev/null 2>&1") == 0)
        return 0;
    cli_say("cannot run gnuplot, which draws the figures (package gnuplot-nox)");
    return 1;
}

// For a string in single quotes.
static void print_quoted(FILE *plot, const char *text)
{
    fputc('\'', plot);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputc('\'', plot);
        fputc(*text, plot);
    }
    fputc('\'', plot);
}

FILE *cli_gnuplot_start(const char *dir, const char *name, const char *what, const char *kind)
{
    char path[MAX_PATH];
    FILE *plot = popen("gnuplot >/dev/null", "w");
    if (plot == NULL) {
        cli_say("cannot run gnuplot");
        return NULL;
    }
    snprintf(path, sizeof path, "%s/%s.%s.%s", dir, name, what, kind);
    remember(path);
    if (strcmp(kind, "png") == 0)
        fprintf(plot, "set terminal pngcairo noenhanced size 900,700 font 'sans,12'\n");
    else
        fprintf(plot,
                "set terminal svg noenhanced size 720,480 font 'sans,14' background 'white'\n");
    fprintf(plot, "set output ");
    print_quoted(plot, path);
    fprintf(plot, "\nset grid lc rgb '#dddddd'\nset tics nomirror\n");
    return plot;
}

int cli_gnuplot_finish(FILE *plot)
{
    const bool failed = fflush(plot) != 0;
    const int status = pclose(plot);
    if (!failed && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    cli_say("gnuplot failed");
    return 1;
}
