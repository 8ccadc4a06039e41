// A run's state in checkpoints: trainer.json and the optimizer's tensors.
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "files/param_tensors.h"
#include "train/trainer.h"

#define CHUNK           ((int64_t)1 << 18) // elements that pass through host memory at once
#define TRAINER_VERSION 1

// ---- trainer.json ----

static json_t *progress_object(const struct slt_progress *p)
{
    return json_pack("{s:I s:I s:I s:I s:I s:I s:I s:f s:b}", "step", (json_int_t)p->step, "updates",
                     (json_int_t)p->updates, "tokens", (json_int_t)p->tokens, "sequences",
                     (json_int_t)p->sequences, "skipped_losses", (json_int_t)p->skipped_losses,
                     "skipped_updates", (json_int_t)p->skipped_updates, "skipped_in_row",
                     (json_int_t)p->skipped_in_row, "norm", p->norm, "validation_is_due",
                     (int)p->validation_is_due);
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
    json_t *o = json_object();
    for (int k = 0; k < SLT_GROUP_KINDS; k++) {
        const struct slt_group *g = &t->model->layer[0].group[k];
        if (g->rank > 0)
            json_object_set_new(o, slt_group_name((enum slt_group_kind)k),
                                json_string(slt_group_route_name(g)));
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
    json_t *options = slt_train_options_object(&t->options);
    json_object_set_new(options, "run", json_string(t->identity));
    return dump(json, options, JSON_COMPACT, err);
}

// ---- The identity of a run ----

int slt_trainer_identify(struct slt_trainer *t, const struct slt_checkpoint_reader *reader,
                         struct slt_error *err)
{
    const unsigned char *model = slt_checkpoint_model_digest(reader);
    unsigned char digest[SLT_SHA256_BYTES];
    char hex[SLT_SHA256_HEX], *text = NULL;
    assert(model != NULL);
    json_t *o = json_pack("{s:s, s:o, s:o}", "model", slt_sha256_hex(hex, model), "options",
                          slt_train_options_object(&t->options), "data",
                          data_object(t->sampler.tokens));
    int rc = dump(&text, o, JSON_COMPACT | JSON_SORT_KEYS, err);
    if (rc != 0)
        return rc;
    slt_sha256_of(digest, text, strlen(text));
    slt_sha256_hex(t->identity, digest);
    free(text);
    return 0;
}

static int trainer_json(const struct slt_trainer *t, char **json, struct slt_error *err)
{
    json_t *o = json_object();
    json_object_set_new(o, "version", json_integer(TRAINER_VERSION));
    json_object_set_new(o, "run", json_string(t->identity));
    json_object_set_new(o, "progress", progress_object(&t->progress));
    json_object_set_new(o, "options", slt_train_options_object(&t->options));
    json_object_set_new(o, "data", data_object(t->sampler.tokens));
    json_object_set_new(o, "routes", routes_object(t));
    return dump(json, o, JSON_INDENT(2), err);
}

// Appends " --some-key (1, was 2)" to text.
static void name_difference(char *text, size_t size, const char *prefix, const char *key,
                            const json_t *is, const json_t *was)
{
    const size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(6);
    char *now = json_dumps(is, flags), *then = json_dumps(was, flags), name[64];
    snprintf(name, sizeof name, "%s", key);
    for (char *c = name; *prefix != '\0' && *c != '\0'; c++)
        if (*c == '_')
            *c = '-';
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
    json_object_foreach(mine, key, value)
    {
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
    json_int_t step, updates, tokens, sequences, losses, skipped, row;
    int due;
    double norm;
    const json_t *o = json_object_get(root, "progress");
    if (json_unpack((json_t *)o, "{s:I s:I s:I s:I s:I s:I s:I s:F s:b}", "step", &step, "updates",
                    &updates, "tokens", &tokens, "sequences", &sequences, "skipped_losses", &losses,
                    "skipped_updates", &skipped, "skipped_in_row", &row, "norm", &norm,
                    "validation_is_due", &due) != 0 ||
        step < 0 || updates < 0 || updates > step || tokens < 0 || sequences < 0 || !(norm >= 0))
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
                               .validation_is_due = due != 0};
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
    json_t *options = slt_train_options_object(&t->options);
    json_t *data = data_object(t->sampler.tokens);
    int rc = compare(file, "options", "--", json_object_get(root, "options"), options, err);
    if (rc == 0)
        rc = compare(file, "data", "", json_object_get(root, "data"), data, err);
    if (rc == 0)
        rc = slt_error_set(err, SLT_ERR_MISMATCH, "'%s' started from another model", file);
    json_decref(options);
    json_decref(data);
    return rc;
}

int slt_trainer_is_of_run(const struct slt_trainer *t, const struct slt_checkpoint_reader *reader,
                          struct slt_error *err)
{
    json_t *root;
    int rc = parse_trainer(&root, reader, err);
    if (rc != 0)
        return rc;
    rc = check_run(t, slt_checkpoint_name(reader), root, err);
    json_decref(root);
    return rc;
}

static int read_trainer(struct slt_trainer *t, const struct slt_checkpoint_reader *reader,
                        struct slt_error *err)
{
    const char *file = slt_checkpoint_name(reader);
    struct slt_progress progress;
    json_t *root;
    int rc = parse_trainer(&root, reader, err);
    if (rc != 0)
        return rc;
    if ((rc = check_run(t, file, root, err)) == 0 &&
        (rc = read_progress(&progress, file, root, err)) == 0)
        t->progress = progress;
    json_decref(root);
    return rc;
}

// ---- Attachments ----

int slt_attachments_take(struct slt_attachments *l, const struct slt_checkpoint_reader *reader,
                     struct slt_error *err)
{
    const char *member, *provenance = slt_checkpoint_provenance(reader);
    const void *data = slt_checkpoint_tokenizer(reader, &l->tokenizer_bytes, &member);
    if (data != NULL) {
        snprintf(l->tokenizer_member, sizeof l->tokenizer_member, "%s", member);
        l->tokenizer = malloc(l->tokenizer_bytes + 1);
        if (l->tokenizer != NULL)
            memcpy(l->tokenizer, data, l->tokenizer_bytes);
    }
    if (provenance != NULL)
        l->provenance = strdup(provenance);
    if ((data != NULL && l->tokenizer == NULL) || (provenance != NULL && l->provenance == NULL))
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a copy of the tokenizer");
    return 0;
}

void slt_attachments_free(struct slt_attachments *l)
{
    free(l->tokenizer);
    free(l->provenance);
}

// ---- Tensors ----

static void state_info(struct slt_tensor_info *info, const char *name,
                       const struct slt_state *state)
{
    const struct slt_tensor t = state->tensor;
    const bool is_vector = t.rows == 1;
    *info = (struct slt_tensor_info){.dtype = t.dtype == SLT_F64 ? SLT_F32 : t.dtype,
                                     .dims = is_vector ? 1 : 2};
    snprintf(info->name, sizeof info->name, "%.*s.%s", SLT_TENSOR_NAME - 16, name, state->suffix);
    info->shape[0] = is_vector ? t.cols : t.rows;
    info->shape[1] = is_vector ? 0 : t.cols;
    info->bytes = (uint64_t)t.rows * (uint64_t)t.cols * slt_dtype_size(info->dtype);
}

// One tensor of a section: in the file, and where it lies on the device.
struct piece {
    struct slt_tensor_info info;
    struct slt_tensor tensor;
    int64_t first;                   // element
    const struct slt_param *support; // whose positions these are, or NULL
};

// The values of the parameters, or the states of the optimizer, in the order of files. The caller
// frees *pieces.
static int list_pieces(struct piece **pieces, size_t *count, const struct slt_trainer *t,
                       enum slt_section section, struct slt_error *err)
{
    const struct slt_model *m = t->model;
    struct piece *list = calloc(m->param_count * SLT_OPTIMIZER_STATES, sizeof *list);
    size_t n = 0;
    if (list == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of tensors");
    for (size_t i = 0; i < m->param_count; i++) {
        const struct slt_param *p = &m->param[i];
        const struct slt_slot *slot = &t->optimizer.slot[i];
        if (section == SLT_SECTION_MODEL) {
            slt_param_tensor(&list[n].info, &p->info);
            list[n].tensor = m->part[p->part].value;
            list[n].support = p->info.role == SLT_ROLE_INDEX ? p : NULL;
            list[n++].first = p->first;
        }
        for (int k = 0; section == SLT_SECTION_OPTIMIZER && k < slot->states; k++, n++) {
            state_info(&list[n].info, p->info.name, &slot->state[k]);
            list[n].tensor = slot->state[k].tensor;
        }
    }
    *pieces = list;
    *count = n;
    return 0;
}

// Elements [at, at + count) of a piece between the device and a chunk in the file's type.
static void copy_out(struct slt_trainer *t, const struct piece *p, int64_t at, int64_t count,
                     void *chunk)
{
    const struct slt_model *m = t->model;
    const uint64_t size = slt_dtype_size(p->info.dtype);
    if (p->info.dtype == SLT_F32)
        slt_tensor_read(t->model, chunk, p->tensor, p->first + at, count);
    else
        m->ops->read(m->ctx, chunk, p->tensor.buffer,
                     p->tensor.offset + (uint64_t)(p->first + at) * size, (uint64_t)count * size);
}

static void copy_in(struct slt_trainer *t, const struct piece *p, int64_t at, int64_t count,
                    const void *chunk)
{
    const struct slt_model *m = t->model;
    const uint64_t size = slt_dtype_size(p->info.dtype);
    if (p->info.dtype == SLT_F32)
        slt_tensor_write(t->model, p->tensor, p->first + at, chunk, count);
    else
        m->ops->write(m->ctx, p->tensor.buffer, p->tensor.offset + (uint64_t)(p->first + at) * size,
                      chunk, (uint64_t)count * size);
}

// What happens to every chunk of a section's pieces.
typedef int chunk_fn(struct slt_trainer *t, const struct piece *p, int64_t at, int64_t count,
                     void *chunk, void *user, struct slt_error *err);

static int each_chunk(struct slt_trainer *t, const struct piece *p, chunk_fn *do_chunk, void *chunk,
                      void *user, struct slt_error *err)
{
    const int64_t total =
        p->tensor.buffer == NULL ? 0 : (int64_t)(p->info.bytes / slt_dtype_size(p->info.dtype));
    int rc = 0;
    for (int64_t at = 0; rc == 0 && at < total; at += CHUNK)
        rc = do_chunk(t, p, at, total - at < CHUNK ? total - at : CHUNK, chunk, user, err);
    return rc;
}

static int write_chunk(struct slt_trainer *t, const struct piece *p, int64_t at, int64_t count,
                       void *chunk, void *user, struct slt_error *err)
{
    copy_out(t, p, at, count, chunk);
    return slt_checkpoint_write(user, chunk, (size_t)count * slt_dtype_size(p->info.dtype), err);
}

static int read_chunk(struct slt_trainer *t, const struct piece *p, int64_t at, int64_t count,
                      void *chunk, void *user, struct slt_error *err)
{
    int rc = slt_checkpoint_read(user, chunk, (size_t)count * slt_dtype_size(p->info.dtype), err);
    if (rc == 0)
        copy_in(t, p, at, count, chunk);
    return rc;
}

static int write_positions(struct slt_trainer *t, const struct slt_param *p,
                           struct slt_checkpoint_writer *writer, struct slt_error *err)
{
    int64_t *position = malloc((size_t)p->info.cols * sizeof *position + 1);
    if (position == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the support of '%s'",
                             p->info.name);
    int rc = slt_positions_read(t->model, position, p, err);
    if (rc == 0)
        rc = slt_positions_store(writer, position, &p->info, err);
    free(position);
    return rc;
}

static int write_section(struct slt_trainer *t, struct slt_checkpoint_writer *writer,
                         enum slt_section section, const char *trainer, void *chunk,
                         struct slt_error *err)
{
    struct piece *pieces;
    size_t count;
    int rc = list_pieces(&pieces, &count, t, section, err);
    if (rc != 0)
        return rc;
    struct slt_tensor_info *infos = calloc(count, sizeof *infos);
    if (infos == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of tensors");
    for (size_t i = 0; rc == 0 && i < count; i++)
        infos[i] = pieces[i].info;
    if (rc == 0)
        rc = slt_checkpoint_begin(writer, section, trainer, infos, count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = pieces[i].support != NULL ? write_positions(t, pieces[i].support, writer, err)
                                       : each_chunk(t, &pieces[i], write_chunk, chunk, writer, err);
    free(infos);
    free(pieces);
    return rc;
}

int slt_trainer_save(struct slt_trainer *t, struct slt_output *out,
                     const struct slt_attachments *attachments, bool with_state, struct slt_error *err)
{
    struct slt_checkpoint_writer *writer = NULL;
    char *trainer = NULL;
    void *chunk = malloc((size_t)CHUNK * sizeof(float));
    int rc = 0;
    if (chunk == NULL) {
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for writing");
        goto out;
    }
    if ((rc = slt_checkpoint_create(&writer, out, &t->model->config, attachments->tokenizer_member,
                                    attachments->tokenizer, attachments->tokenizer_bytes, err)) != 0 ||
        (rc = write_section(t, writer, SLT_SECTION_MODEL, NULL, chunk, err)) != 0)
        goto out;
    if (with_state &&
        ((rc = trainer_json(t, &trainer, err)) != 0 ||
         (rc = write_section(t, writer, SLT_SECTION_OPTIMIZER, trainer, chunk, err)) != 0))
        goto out;
    rc = slt_checkpoint_finish(writer, attachments->provenance, err);
    writer = NULL;
out:
    slt_checkpoint_abandon(writer);
    free(trainer);
    free(chunk);
    return rc;
}

// The optimizer's tensors must be exactly the ones that write_section would announce.
static int read_states(struct slt_trainer *t, struct slt_checkpoint_reader *reader, void *chunk,
                       struct slt_error *err)
{
    size_t announced, count;
    struct piece *pieces;
    int rc = list_pieces(&pieces, &count, t, SLT_SECTION_OPTIMIZER, err);
    if (rc != 0)
        return rc;
    const struct slt_tensor_info *infos = slt_checkpoint_tensors(reader, &announced);
    int next = 1;
    for (size_t i = 0; rc == 0 && next == 1 && i < count; i++) {
        const struct slt_tensor_info *want = &pieces[i].info, *info;
        enum slt_section section;
        if (announced != count || !slt_tensors_match(&infos[i], want))
            rc = slt_error_set(err, SLT_ERR_MISMATCH,
                               "'%s' does not hold the state of optimizer %s: tensor %zu is not "
                               "'%s'",
                               slt_checkpoint_name(reader), slt_optimizer_name(t->optimizer.id), i, want->name);
        else
            rc = each_chunk(t, &pieces[i], read_chunk, chunk, reader, err);
        if (rc == 0)
            next = slt_checkpoint_next(reader, &section, &info, err);
    }
    free(pieces);
    return rc == 0 && next < 0 ? next : rc;
}

int slt_trainer_load_state(struct slt_trainer *t, struct slt_checkpoint_reader *reader,
                           struct slt_error *err)
{
    int rc = read_trainer(t, reader, err);
    if (rc != 0)
        return rc;
    void *chunk = malloc((size_t)CHUNK * sizeof(float));
    if (chunk == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for reading");
    rc = read_states(t, reader, chunk, err);
    free(chunk);
    return rc;
}
