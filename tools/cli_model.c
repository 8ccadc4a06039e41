// A model's configuration from a preset or a config.json and the method's options; its positions.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli_model.h"

#define MAX_CONFIG (1 << 20)

// The file, or config.json in the directory.
static const char *config_path(char name[PATH_MAX], const char *path)
{
    struct stat st;
    if (strcmp(path, "-") == 0 || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return path;
    return snprintf(name, PATH_MAX, "%s/config.json", path) < PATH_MAX ? name : path;
}

static int load_base(struct slt_config *c, const struct cli_model *m, slt_stop_flag *stop)
{
    struct slt_error err;
    void *text;
    size_t bytes;
    char name[PATH_MAX];
    if (m->preset != NULL) {
        if (slt_config_preset(c, m->preset, &err) != 0)
            cli_usage("%s", err.message);
        return 0;
    }
    const char *path = config_path(name, m->config);
    if (slt_file_read(&text, &bytes, path, MAX_CONFIG, stop, &err) != 0)
        return cli_error(&err);
    const int rc = slt_config_parse(c, path, text, bytes, &err);
    free(text);
    return rc != 0 ? cli_error(&err) : 0;
}

// What differs by layer, and then the rank that the budget leaves.
static void apply_layers(struct slt_config *c, const struct cli_model *m)
{
    struct slt_error err;
    char text[400]; // one that is cut off has no good end
    int rc = 0;
    c->layers_count = 0;
    if (m->dense_layers != NULL) {
        snprintf(text, sizeof text, "%s:*:method=full", m->dense_layers);
        rc = slt_layers_parse(c, text, &err);
    }
    for (size_t i = 0; rc == 0 && i < m->layers.count; i++)
        rc = slt_layers_parse(c, m->layers.item[i], &err);
    if (rc == 0 && m->budget > 0)
        rc = slt_config_fit_rank(c, m->budget, &err);
    if (rc != 0)
        cli_usage("%s", err.message);
}

void cli_model_apply(struct slt_config *c, const struct cli_model *m)
{
    struct slt_error err;
    c->method = (enum slt_method)m->method;
    c->seed = (uint64_t)m->seed;
    c->support = (struct slt_support_spec){0};
    c->quantization = (struct slt_quantization){0};
    if (m->vocab_size > 0)
        c->vocab_size = m->vocab_size;
    c->training[0] = '\0';
    slt_config_method_defaults(c, m->preset);
    if (m->recipe != NULL && slt_config_recipe(c, m->preset, m->recipe, &err) != 0)
        cli_usage("%s", err.message);
    if (m->rank > 0)
        c->rank = m->rank;
    if (m->density >= 0)
        c->density = m->density;
    if (m->alpha > 0)
        c->alpha = m->alpha;
    c->lora_b_zero = m->lora_b == 1;
    const bool factors = slt_method_has(c->method, SLT_ROLE_LORA_A);
    const bool sparse = slt_method_has(c->method, SLT_ROLE_SPARSE);
    if (!factors && (m->rank > 0 || m->alpha > 0))
        cli_usage("--rank and --alpha do not go with --method %s", slt_method_name(c->method));
    if (!sparse && (m->density >= 0 || m->support != NULL))
        cli_usage("--density and --support go with --method sltrain only");
    if (c->method != SLT_LOWRANK && m->lora_b >= 0)
        cli_usage("--lora-b goes with --method lowrank only");
    if (!factors)
        c->rank = 0, c->alpha = 0;
    if (!sparse)
        c->density = 0;
    else if (m->support != NULL && strcmp(m->support, "top") == 0)
        c->support = (struct slt_support_spec){SLT_SUPPORT_EXPLICIT, 0, 0};
    else if (slt_support_parse(&c->support, m->support != NULL ? m->support : "random", &err) !=
                 0 ||
             c->support.kind == SLT_SUPPORT_EXPLICIT)
        cli_usage("unknown support '%s' (known: random, rows, channels, block:RxC, top)",
                  m->support);
    if (m->rank > 0 && m->budget > 0)
        cli_usage("--budget finds the rank: no --rank with it");
    apply_layers(c, m);
}

int cli_model_config(struct slt_config *config, const struct cli_model *model, slt_stop_flag *stop)
{
    if ((model->preset == NULL) == (model->config == NULL))
        cli_usage("give either --preset or --config");
    const int code = load_base(config, model, stop);
    if (code == 0)
        cli_model_apply(config, model);
    return code;
}

void cli_model_report(struct cli_report *r, const struct slt_config *c)
{
    char text[160 * SLT_LAYERS_LIMIT] = "";
    if (c->rank > 0) {
        cli_report_whole(r, "rank", c->rank);
        cli_report_real(r, "alpha", c->alpha);
    }
    if (c->density > 0) {
        cli_report_real(r, "density", c->density);
        cli_report_text(r, "support", slt_support_format(text, sizeof text, &c->support));
    }
    for (int64_t i = 0, at = 0; i < c->layers_count; i++, at = (int64_t)strlen(text)) {
        snprintf(text + at, 2, "%s", i > 0 ? " " : "");
        at += i > 0;
        slt_layers_format(text + at, sizeof text - (size_t)at, &c->layers[i]);
    }
    if (c->layers_count > 0)
        cli_report_text(r, "forms", text);
    cli_report_real(r, "linear_share", slt_config_linear_share(c));
    if (c->training[0] != '\0')
        cli_report_text(r, "training", c->training);
}

void cli_say_beyond(const struct cli_common *common, const struct slt_config *config,
                    int64_t tokens, const char *what)
{
    if (!common->quiet && tokens > config->max_position_embeddings)
        cli_say("%s beyond the %lld positions that the model was made for", what,
                (long long)config->max_position_embeddings);
}

void cli_say_seq_beyond(const struct cli_common *common, const struct slt_config *config,
                        int64_t seq)
{
    char what[40];
    snprintf(what, sizeof what, "--seq %lld goes", (long long)seq);
    cli_say_beyond(common, config, seq, what);
}
