// trainer.json: how far a run is, its options and data, and the identity that it is known by.
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "train/trainer.h"

#define TRAINER_VERSION 1

static json_t *progress_object(const struct slt_progress *p)
{
    return json_pack("{s:I s:I s:I s:I s:I s:I s:I s:f s:b s:I s:I}", "step", (json_int_t)p->step,
                     "updates", (json_int_t)p->updates, "tokens", (json_int_t)p->tokens,
                     "sequences", (json_int_t)p->sequences, "skipped_losses",
                     (json_int_t)p->skipped_losses, "skipped_updates",
                     (json_int_t)p->skipped_updates, "skipped_in_row",
                     (json_int_t)p->skipped_in_row, "norm", p->norm, "validation_is_due",
                     (int)p->validation_is_due, "groups", (json_int_t)p->groups, "micro_batch",
                     (json_int_t)p->micro_batch);
}

// What must be the same data: its size, its content, and the tokenizer it was made with.
static json_t *data_object(const struct slt_tokens *tokens)
{
    const struct slt_tokens_header *h = slt_tokens_header(tokens);
    const struct slt_tokens_totals totals = slt_tokens_totals(tokens);
    const unsigned char *digest = slt_tokens_digest(tokens);
    char hex[SLT_SHA256_HEX], content[SLT_SHA256_HEX];
    slt_sha256_hex(hex, h->digest);
    json_t *o = json_pack("{s:I s:I s:I s:s}", "tokens", (json_int_t)totals.tokens, "documents",
                          (json_int_t)totals.documents, "vocab_size", (json_int_t)h->vocab_size,
                          "tokenizer_sha256", hex);
    if (digest != NULL)
        json_object_set_new(o, "sha256", json_string(slt_sha256_hex(content, digest)));
    return o;
}

static json_t *routes_object(const struct slt_trainer *t)
{
    char route[SLT_ROUTE_TEXT];
    json_t *o = json_object();
    for (int k = 0; k < SLT_GROUP_KINDS; k++) {
        const enum slt_group_kind group = (enum slt_group_kind)k;
        if (slt_model_has_factors(t->model, group))
            json_object_set_new(o, slt_group_name(group),
                                json_string(slt_model_route(route, t->model, group)));
    }
    return o;
}

static int dump(char **json, json_t *object, size_t flags, struct slt_error *err)
{
    char *text = object != NULL ? json_dumps(object, flags | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(object);
    if (text == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the text of trainer.json");
    *json = text;
    return 0;
}

int slt_trainer_options_json(const struct slt_trainer *t, char **json, struct slt_error *err)
{
    json_t *options = slt_train_options_object(&t->given);
    json_object_set_new(options, "run", json_string(t->identity));
    return dump(json, options, JSON_COMPACT, err);
}

// ---- The identity of a run ----

// The identity of the trainer's run with these options instead of its own.
static int identity_of(char identity[SLT_SHA256_HEX], const struct slt_trainer *t,
                       const struct slt_train_options *options, struct slt_error *err)
{
    unsigned char digest[SLT_SHA256_BYTES];
    char *text = NULL;
    json_t *o =
        json_pack("{s:s, s:o, s:o}", "model", t->start, "options",
                  slt_train_options_object(options), "data", data_object(t->sampler.tokens));
    int rc = dump(&text, o, JSON_COMPACT | JSON_SORT_KEYS, err);
    if (rc != 0)
        return rc;
    slt_sha256_of(digest, text, strlen(text));
    slt_sha256_hex(identity, digest);
    free(text);
    return 0;
}

int slt_trainer_identify(struct slt_trainer *t, const struct slt_checkpoint_reader *reader,
                         struct slt_error *err)
{
    const unsigned char *model = slt_checkpoint_model_digest(reader);
    assert(model != NULL);
    slt_sha256_hex(t->start, model);
    return identity_of(t->identity, t, &t->given, err);
}

int slt_trainer_json(const struct slt_trainer *t, char **json, struct slt_error *err)
{
    json_t *o = json_object();
    json_object_set_new(o, "version", json_integer(TRAINER_VERSION));
    json_object_set_new(o, "run", json_string(t->identity));
    json_object_set_new(o, "progress", progress_object(&t->progress));
    json_object_set_new(o, "options", slt_train_options_object(&t->given));
    json_object_set_new(o, "data", data_object(t->sampler.tokens));
    json_object_set_new(o, "routes", routes_object(t));
    return dump(json, o, JSON_INDENT(2), err);
}

// A value as text, which the caller frees.
static char *text_of(const struct slt_train_option *o, const json_t *value)
{
    const bool is_open = o != NULL && json_is_number(value) &&
                         (o->standard < o->min || o->standard > o->max) &&
                         json_number_value(value) == o->standard;
    return is_open ? strdup("not given")
                   : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
}

// Appends " --some-key (1, was 2)" to text.
static void name_difference(char *text, size_t size, const char *prefix, const char *key,
                            const json_t *is, const json_t *was)
{
    const struct slt_train_option *o = *prefix != '\0' ? slt_train_option_of_key(key) : NULL;
    const char *name = o != NULL ? o->name : key;
    char *now = text_of(o, is), *then = text_of(o, was);
    const size_t at = strlen(text);
    snprintf(text + at, size - at, "%s %s%s (%s, was %s)", at > 0 ? "," : "", prefix, name,
             now != NULL ? now : "?", then != NULL ? then : "absent");
    free(now);
    free(then);
}

// Names what differs between the run that wrote saved and this one. 0, or SLT_ERR_MISMATCH.
static int compare(const char *file, const char *what, const char *prefix, const json_t *saved,
                   json_t *mine, struct slt_error *err)
{
    char text[600] = "";
    const char *key;
    json_t *value;
    json_object_foreach (mine, key, value) {
        const json_t *old = json_object_get(saved, key);
        if (old == NULL || !json_equal((json_t *)old, value))
            name_difference(text, sizeof text, prefix, key, value, old);
    }
    if (text[0] == '\0')
        return 0;
    return slt_error_set(err, SLT_ERR_MISMATCH, "the %s of '%s' differ:%s", what, file, text);
}

static int read_progress(struct slt_progress *p, const char *file, const json_t *root,
                         struct slt_error *err)
{
    json_int_t step, updates, tokens, sequences, losses, skipped, row, groups, micro;
    int due;
    double norm;
    const json_t *o = json_object_get(root, "progress");
    if (json_unpack((json_t *)o, "{s:I s:I s:I s:I s:I s:I s:I s:F s:b s:I s:I}", "step", &step,
                    "updates", &updates, "tokens", &tokens, "sequences", &sequences,
                    "skipped_losses", &losses, "skipped_updates", &skipped, "skipped_in_row", &row,
                    "norm", &norm, "validation_is_due", &due, "groups", &groups, "micro_batch",
                    &micro) != 0 ||
        groups < 1 || micro < 1 || step < 0 || updates < 0 || updates > step || tokens < 0 ||
        sequences < 0 || !(norm >= 0))
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': trainer.json has no usable \"progress\"",
                             file);
    *p = (struct slt_progress){.step = step,
                               .updates = updates,
                               .tokens = (uint64_t)tokens,
                               .sequences = (uint64_t)sequences,
                               .skipped_losses = (uint64_t)losses,
                               .skipped_updates = (uint64_t)skipped,
                               .skipped_in_row = row,
                               .norm = norm,
                               .validation_is_due = due != 0,
                               .groups = groups,
                               .micro_batch = micro};
    return 0;
}

// Parses the trainer.json that reader has passed.
static int parse_trainer(json_t **root, const struct slt_checkpoint_reader *reader,
                         struct slt_error *err)
{
    const char *text = slt_checkpoint_trainer(reader), *file = slt_checkpoint_name(reader);
    if (text == NULL)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' has no trainer.json to resume from", file);
    int rc = slt_json_parse(root, file, text, strlen(text), err);
    if (rc != 0)
        return rc;
    const json_int_t version = json_integer_value(json_object_get(*root, "version"));
    if (version == TRAINER_VERSION)
        return 0;
    json_decref(*root);
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "'%s': trainer.json has version %lld, this program knows %d", file,
                         (long long)version, TRAINER_VERSION);
}

// Whether a trainer.json is of the trainer's run, by its identity; else in what it differs.
static int check_run(const struct slt_trainer *t, const char *file, const json_t *root,
                     struct slt_error *err)
{
    const char *run = json_string_value(json_object_get(root, "run"));
    if (run != NULL && strcmp(run, t->identity) == 0)
        return 0;
    json_t *options = slt_train_options_object(&t->given);
    json_t *data = data_object(t->sampler.tokens);
    int rc = compare(file, "options", "--", json_object_get(root, "options"), options, err);
    if (rc == 0)
        rc = compare(file, "data", "", json_object_get(root, "data"), data, err);
    if (rc == 0)
        rc = slt_error_set(err, SLT_ERR_MISMATCH,
                           run == NULL ? "'%s' does not name its run: an older slt-train wrote it"
                                       : "'%s' started from another model",
                           file);
    json_decref(options);
    json_decref(data);
    return rc;
}

// Whether a trainer.json is of a run that differs from the trainer's in its number of steps, and in
// those in which the learning rate falls, alone, and is from before either learning rate falls.
static int check_extension(const struct slt_trainer *t, const char *file, const json_t *root,
                           const struct slt_progress *progress, struct slt_error *err)
{
    const json_t *options = json_object_get(root, "options");
    const char *run = json_string_value(json_object_get(root, "run"));
    struct slt_train_options was = t->given;
    char identity[SLT_SHA256_HEX];
    was.steps = json_integer_value(json_object_get(options, "steps"));
    was.schedule.decay_steps = json_integer_value(json_object_get(options, "decay_steps"));
    int rc = identity_of(identity, t, &was, err);
    if (rc != 0)
        return rc;
    if (run == NULL || strcmp(run, identity) != 0)
        return check_run(t, file, root, err);
    const int64_t mine = slt_schedule_common(&t->options.schedule, t->options.steps);
    const int64_t its = slt_schedule_common(&was.schedule, was.steps);
    const int64_t last = mine < its ? mine : its;
    if (progress->step <= last)
        return 0;
    return slt_error_set(err, SLT_ERR_MISMATCH,
                         "'%s' is the state of step %lld, and the learning rates of its run and of "
                         "this one are the same up to step %lld only",
                         file, (long long)progress->step, (long long)last);
}

int slt_trainer_peek(const struct slt_trainer *t, const struct slt_checkpoint_reader *reader,
                     struct slt_progress *progress, struct slt_error *err)
{
    const char *file = slt_checkpoint_name(reader);
    json_t *root;
    int rc = parse_trainer(&root, reader, err);
    if (rc != 0)
        return rc;
    if (t->extends) {
        if ((rc = read_progress(progress, file, root, err)) == 0)
            rc = check_extension(t, file, root, progress, err);
    } else if ((rc = check_run(t, file, root, err)) == 0) {
        rc = read_progress(progress, file, root, err);
    }
    json_decref(root);
    return rc;
}
