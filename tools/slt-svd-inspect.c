// slt-svd-inspect: singular values of a model's linears, what a low-rank part leaves of them, and
// where their sparse part lies.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_json.h"
#include "cli_plot.h"
#include "slt/inspect.h"

struct options {
    struct cli_common common;
    struct slt_inspect_options how;
    int64_t seed;
    const char *images, *plot;
    bool spectra, json;
};

struct session {
    const struct options *options;
    struct slt_output *out;
    json_t *linears; // with --json
    struct cli_progress progress;
    int code; // exit code of the first picture that failed
};

// The spectra of a linear, with their names.
static int list_spectra(const struct slt_spectrum *list[3], const char *names[3],
                        const struct slt_inspection *r)
{
    const struct slt_spectrum *const all[] = {&r->w, &r->ba, &r->s};
    static const char *const all_names[] = {"W", "BA", "S"};
    int n = 0;
    for (int i = 0; i < 3; i++) {
        if (all[i]->count == 0)
            continue;
        list[n] = all[i];
        names[n++] = all_names[i];
    }
    return n;
}

// ---- Rows ----

static int print_values(struct slt_output *out, const char *name, const char *part,
                        const double *value, int64_t count, struct slt_error *err)
{
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < count; i++)
        rc = slt_output_printf(out, err, "singular\t%s\t%s\t%lld\t%.7g\n", name, part,
                               (long long)i + 1, value[i]);
    return rc;
}

static int print_spectra(struct slt_output *out, const struct slt_inspection *r, bool values,
                         struct slt_error *err)
{
    const struct slt_spectrum *list[3];
    const char *names[3];
    const int n = list_spectra(list, names, r);
    int rc = 0;
    for (int i = 0; rc == 0 && i < n; i++) {
        const struct slt_spectrum *s = list[i];
        rc = slt_output_printf(
            out, err, "spectrum\t%s\t%s\t%lld\t%.7g\t%.7g\t%.7g\t%.7g\t%.7g\t%lld\t%lld\t%.7g\n",
            r->name, names[i], (long long)s->count, s->frobenius, s->value[0], s->energy_at_rank,
            s->effective_rank, s->stable_rank, (long long)s->rank_90, (long long)s->rank_99,
            s->error);
        if (rc == 0 && values)
            rc = print_values(out, r->name, names[i], s->value, s->count, err);
    }
    if (rc == 0 && values && r->w_ba != NULL)
        rc = print_values(out, r->name, "W.BA", r->w_ba, r->w.count, err);
    if (rc == 0 && values && r->s.count > 0)
        rc = print_values(out, r->name, "W.S", r->w_s, r->w.count, err);
    return rc;
}

// The magnitude below which a share of the residual's elements lie.
static double quantile(const struct slt_inspection *r, double share)
{
    return r->residual.magnitude[(int)(share * SLT_INSPECT_SHARES + 0.5)];
}

static int print_rows(struct session *s, const struct slt_inspection *r, struct slt_error *err)
{
    struct slt_output *out = s->out;
    int rc = slt_output_printf(out, err, "linear\t%s\t%lld\t%lld\t%lld\t%lld\n", r->name,
                               (long long)r->out, (long long)r->in, (long long)r->rank,
                               (long long)r->nnz);
    if (rc == 0)
        rc = print_spectra(out, r, s->options->spectra, err);
    if (rc == 0)
        rc = slt_output_printf(out, err, "residual\t%s\t%.7g\t%.7g\t%.7g\t%.7g\t%.7g\t%.7g\t%.7g\n",
                               r->name, r->residual.share, quantile(r, .5), quantile(r, .9),
                               quantile(r, .97), quantile(r, .99), quantile(r, 1),
                               r->residual.below);
    if (rc == 0 && r->s.count > 0)
        rc = slt_output_printf(out, err, "overlap\t%s\t%.7g\t%.7g\t%.7g\n", r->name, r->s_left,
                               r->s_right, r->s_both);
    for (int i = 0; rc == 0 && s->options->spectra && i <= SLT_INSPECT_SHARES; i += 5)
        rc = slt_output_printf(out, err, "cdf\t%s\t%.3f\t%.7g\n", r->name,
                               (double)i / SLT_INSPECT_SHARES, r->residual.magnitude[i]);
    return rc;
}

// ---- JSON ----

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *reals(const double *x, int64_t count)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < count; i++)
        cli_json_append(list, real(x[i]));
    return list;
}

static json_t *spectrum_object(const struct slt_spectrum *s, bool values)
{
    json_t *o = json_object();
    cli_json_put(o, "values", json_integer(s->count));
    cli_json_put(o, "frobenius", real(s->frobenius));
    cli_json_put(o, "largest", real(s->value[0]));
    cli_json_put(o, "energy_at_rank", real(s->energy_at_rank));
    cli_json_put(o, "effective_rank", real(s->effective_rank));
    cli_json_put(o, "stable_rank", real(s->stable_rank));
    cli_json_put(o, "rank_90", s->rank_90 > 0 ? json_integer(s->rank_90) : json_null());
    cli_json_put(o, "rank_99", s->rank_99 > 0 ? json_integer(s->rank_99) : json_null());
    cli_json_put(o, "error", real(s->error));
    if (values)
        cli_json_put(o, "singular", reals(s->value, s->count));
    return o;
}

static json_t *linear_object(const struct slt_inspection *r, bool values)
{
    const struct slt_spectrum *list[3];
    const char *names[3];
    const int n = list_spectra(list, names, r);
    json_t *o = json_object(), *residual = json_object(), *overlap = json_object();
    cli_json_put(o, "name", json_string(r->name));
    cli_json_put(o, "out", json_integer(r->out));
    cli_json_put(o, "in", json_integer(r->in));
    cli_json_put(o, "rank", json_integer(r->rank));
    cli_json_put(o, "nnz", json_integer(r->nnz));
    for (int i = 0; i < n; i++)
        cli_json_put(o, names[i], spectrum_object(list[i], values));
    if (values && r->w_ba != NULL)
        cli_json_put(o, "W.BA", reals(r->w_ba, r->w.count));
    if (values && r->s.count > 0)
        cli_json_put(o, "W.S", reals(r->w_s, r->w.count));
    cli_json_put(residual, "share", real(r->residual.share));
    cli_json_put(residual, "median", real(quantile(r, .5)));
    cli_json_put(residual, "q90", real(quantile(r, .9)));
    cli_json_put(residual, "q97", real(quantile(r, .97)));
    cli_json_put(residual, "q99", real(quantile(r, .99)));
    cli_json_put(residual, "largest", real(quantile(r, 1)));
    cli_json_put(residual, "below_cutoff", real(r->residual.below));
    cli_json_put(o, "residual", residual);
    cli_json_put(overlap, "left", real(r->s_left));
    cli_json_put(overlap, "right", real(r->s_right));
    cli_json_put(overlap, "both", real(r->s_both));
    if (r->s.count > 0)
        cli_json_put(o, "overlap", json_incref(overlap));
    json_decref(overlap);
    return o;
}

// ---- Pictures ----

static int write_images(const struct session *s, const struct slt_inspection *r)
{
    const char *dir = s->options->images;
    struct cli_map map;
    int code = cli_map_make(&map, r->weight, r->out, r->in);
    // Both in one scale, so that they can be compared: white is the largest cell of W.
    double top = 0;
    for (int i = 0; code == 0 && i < map.height * map.width; i++)
        top = fmax(top, (double)map.value[i]);
    if (code == 0)
        code = cli_map_write(&map, dir, r->name, "weight", top, s->options->how.stop);
    cli_map_free(&map);
    if (code == 0)
        code = cli_map_make(&map, r->rest, r->out, r->in);
    if (code == 0)
        code = cli_map_write(&map, dir, r->name, "residual", top, s->options->how.stop);
    cli_map_free(&map);
    return code;
}

static void send_values(FILE *plot, const double *value, int64_t from, int64_t count)
{
    for (int64_t i = from; i < count; i++)
        fprintf(plot, "%lld %.7g\n", (long long)(i - from) + 1, value[i]);
    fprintf(plot, "e\n");
}

// The same for a logarithmic axis, which has no place for zeros: they lie on its floor.
static void send_logarithms(FILE *plot, const struct slt_spectrum *s, int64_t from)
{
    const double largest = s->value[0] > 0 ? s->value[0] : 1;
    for (int64_t i = from; i < s->count; i++)
        fprintf(plot, "%lld %.7g\n", (long long)(i - from) + 1, fmax(s->value[i], largest * 1e-9));
    fprintf(plot, "e\n");
}

static void mark_rank(FILE *plot, int64_t rank)
{
    const long long r = (long long)rank;
    fprintf(plot,
            "set arrow from %lld, graph 0 to %lld, graph 1 nohead dt 2 lc rgb '#888888'\n"
            "set label 'r = %lld' at %lld, graph 0.04 offset 0.6,0 tc rgb '#666666'\n",
            r, r, r, r);
}

// Singular values of W, and those of what its best approximation leaves.
static int plot_spectrum(const char *dir, const struct slt_inspection *r)
{
    FILE *plot = cli_gnuplot_start(dir, r->name, "spectrum", "svg");
    if (plot == NULL)
        return 1;
    mark_rank(plot, r->rank);
    fprintf(plot,
            "set title '%s, %lld x %lld'\nset xlabel 'index'\nset ylabel 'singular value'\n"
            "set logscale y\nset format y '%%g'\nset key top right\n"
            "plot '-' with lines lw 2 lc rgb '#1f5fa8' title 'W'%s\n",
            r->name, (long long)r->out, (long long)r->in,
            r->w.count > r->rank
                ? ", '-' with lines lw 2 lc rgb '#c0392b' title 'after its best rank-r part'"
                : "");
    send_logarithms(plot, &r->w, 0);
    if (r->w.count > r->rank)
        send_logarithms(plot, &r->w, r->rank);
    return cli_gnuplot_finish(plot);
}

static int plot_residual(const char *dir, const struct slt_inspection *r)
{
    struct cli_map map;
    int code = cli_map_make(&map, r->rest, r->out, r->in);
    FILE *plot = code == 0 ? cli_gnuplot_start(dir, r->name, "residual", "png") : NULL;
    if (plot != NULL) {
        fprintf(
            plot,
            "set title 'residual of %s after rank %lld'\nset xlabel 'input'\n"
            "set ylabel 'output'\nset cblabel '|W - best rank-r part|%s'\nunset grid\n"
            "set xrange [0:%lld]\nset yrange [%lld:0]\nset cbrange [0:%.7g]\n"
            "set palette defined (0 '#ffffff', 0.4 '#f4a259', 1 '#5b1a18')\n"
            "plot '-' binary array=(%d,%d) dx=%.7g dy=%.7g format='%%float32' with image notitle\n",
            r->name, (long long)r->rank,
            map.height < r->out || map.width < r->in ? ", mean of a cell" : "", (long long)r->in,
            (long long)r->out, fmax(quantile(r, .999), 1e-30), map.width, map.height,
            (double)r->in / map.width, (double)r->out / map.height);
        fwrite(map.value, sizeof *map.value, (size_t)map.height * (size_t)map.width, plot);
        code = cli_gnuplot_finish(plot);
    }
    cli_map_free(&map);
    return plot != NULL ? code : 1;
}

static int plot_cdf(const char *dir, const struct slt_inspection *r)
{
    FILE *plot = cli_gnuplot_start(dir, r->name, "cdf", "svg");
    const double q97 = quantile(r, .97);
    if (plot == NULL)
        return 1;
    fprintf(
        plot,
        "set title '%s after rank %lld'\nset xlabel 'magnitude of an element of the residual'\n"
        "set ylabel 'share of elements below'\nset yrange [0:1.02]\nset xrange [0:%.7g]\n"
        "set key bottom right\nset arrow from %.7g, 0 to %.7g, 0.97 nohead dt 2 lc rgb '#c0392b'\n"
        "set arrow from 0, 0.97 to %.7g, 0.97 nohead dt 2 lc rgb '#c0392b'\n"
        "set label '97%% are below %.3g' at %.7g, 0.9 offset 1,0 tc rgb '#c0392b'\n"
        "plot '-' using 2:1 with lines lw 2 lc rgb '#1f5fa8' title 'share of |R|'\n",
        r->name, (long long)r->rank, fmax(quantile(r, .999) * 1.2, 1e-30), q97, q97, q97, q97, q97);
    for (int i = 0; i <= SLT_INSPECT_SHARES; i++)
        fprintf(plot, "%.3f %.7g\n", (double)i / SLT_INSPECT_SHARES, r->residual.magnitude[i]);
    fprintf(plot, "e\n");
    return cli_gnuplot_finish(plot);
}

// What B A and S give to each singular value of W.
static int plot_parts(const char *dir, const struct slt_inspection *r)
{
    FILE *plot = cli_gnuplot_start(dir, r->name, "parts", "svg");
    if (plot == NULL)
        return 1;
    mark_rank(plot, r->rank);
    fprintf(plot,
            "set title '%s: what BA and S give to W'\nset xlabel 'index'\n"
            "set ylabel 'singular value of W'\nset key top right\n"
            "plot '-' with lines lw 2 lc rgb '#222222' title 'W',"
            " '-' with lines lw 1.5 lc rgb '#1f5fa8' title 'from BA',"
            " '-' with lines lw 1.5 lc rgb '#c0392b' title 'from S'\n",
            r->name);
    send_values(plot, r->w.value, 0, r->w.count);
    send_values(plot, r->w_ba, 0, r->w.count);
    send_values(plot, r->w_s, 0, r->w.count);
    return cli_gnuplot_finish(plot);
}

static int plot_all(const char *dir, const struct slt_inspection *r)
{
    int code = plot_spectrum(dir, r);
    code = code == 0 ? plot_residual(dir, r) : code;
    code = code == 0 ? plot_cdf(dir, r) : code;
    return code == 0 && r->s.count > 0 ? plot_parts(dir, r) : code;
}

// ---- The run ----

static int on_linear(void *user, const struct slt_inspection *r, struct slt_error *err)
{
    struct session *s = user;
    int rc = 0;
    if (s->linears != NULL)
        cli_json_append(s->linears, linear_object(r, s->options->spectra));
    else
        rc = print_rows(s, r, err);
    if (rc == 0 && s->options->images != NULL)
        s->code = write_images(s, r);
    if (rc == 0 && s->code == 0 && s->options->plot != NULL)
        s->code = plot_all(s->options->plot, r);
    if (cli_progress_due(&s->progress))
        cli_progress_line(&s->progress, "%s", r->name);
    // The message of a picture has been printed: end quietly.
    return rc != 0 || s->code == 0 ? rc : slt_error_set(err, SLT_ERR_STOPPED, "no picture");
}

static int write_json(struct session *s)
{
    struct slt_error err;
    json_t *root = json_pack("{s:O}", "linears", s->linears);
    char *text = cli_json_text(root, JSON_INDENT(1) | JSON_REAL_PRECISION(7));
    int code = text == NULL;
    if (text != NULL && slt_output_printf(s->out, &err, "%s\n", text) != 0)
        code = cli_error(&err);
    free(text);
    json_decref(root);
    return code;
}

static int inspect(struct session *s, const char *path)
{
    const struct options *o = s->options;
    struct slt_error err;
    struct slt_input *in;
    struct slt_checkpoint_reader *reader = NULL;
    int code = cli_open_model(&in, path, o->common.quiet, o->how.stop);
    if (code != 0)
        return code;
    if (slt_checkpoint_open(&reader, in, &err) != 0)
        return cli_error(&err);
    if (slt_output_open(&s->out, o->common.output, o->how.stop, &err) != 0) {
        slt_checkpoint_close(reader);
        return cli_error(&err);
    }
    const int rc = slt_inspect(reader, &o->how, on_linear, s, &err);
    cli_progress_clear(&s->progress);
    if (rc != 0)
        code = s->code != 0          ? s->code
               : rc == SLT_ERR_RANGE ? (cli_error(&err), 2)
                                     : cli_error(&err);
    else if (s->linears != NULL)
        code = write_json(s);
    slt_checkpoint_close(reader);
    code = cli_close_output(s->out, code);
    cli_pictures_end(code == 0);
    return code;
}

int main(int argc, char **argv)
{
    struct options o = {.common = {.output = "-"}, .how = {.cutoff = 0.04}, .seed = 1};
    const struct cli_option options[] = {
        CLI_COMMON(&o.common),
        {"layer", 'l', CLI_TEXT, &o.how.linears, "PATTERN", 0, 0,
         "linears whose name matches, such as '*.3.mlp.*' (all)"},
        {"rank", 'r', CLI_WHOLE, &o.how.rank, "N", 1, 1 << 24,
         "rank of the part that is taken out (the model's, or a quarter of the hidden size)"},
        {"cutoff", 0, CLI_REAL, &o.how.cutoff, "X", 0, 1e30,
         "count the residual's elements up to this magnitude (0.04)"},
        {"spectra", 0, CLI_FLAG, &o.spectra, NULL, 0, 0,
         "print all singular values and the distribution of the residual"},
        {"json", 0, CLI_FLAG, &o.json, NULL, 0, 0, "print a JSON object"},
        {"randomized", 0, CLI_FLAG, &o.how.randomized, NULL, 0, 0,
         "leading values only, by a range finder, with a bound of their error"},
        {"images", 0, CLI_TEXT, &o.images, "DIR", 0, 0, "write |W| and the residual as PGM"},
        {"plot", 0, CLI_TEXT, &o.plot, "DIR", 0, 0, "draw the figures with gnuplot"},
        {"seed", 's', CLI_WHOLE, &o.seed, "N", 0, 9.2e18, "of the range finder (1)"},
    };
    const struct cli_program program = {
        "slt-svd-inspect", "[options] [FILE]",
        "Prints the singular values of a model's linears and what a low-rank part leaves of them.",
        options, sizeof options / sizeof *options};
    const int first = cli_parse(&program, argc, &argv);
    const char *path = cli_one_input(argv, first);
    struct session s = {.options = &o, .linears = o.json ? json_array() : NULL};
    cli_progress_start(&s.progress, &o.common);
    o.how.seed = (uint64_t)o.seed;
    o.how.stop = cli_catch_signals();
    int code = o.plot != NULL ? cli_gnuplot_check(o.plot) : 0;
    if (o.json && s.linears == NULL) {
        cli_say("cannot allocate the report");
        code = 1;
    }
    if (code == 0)
        code = inspect(&s, path);
    json_decref(s.linears);
    return cli_finish(code);
}
