// A run's state in checkpoints: what they carry, weights and the optimizer's tensors.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bfloat.h"
#include "files/param_tensors.h"
#include "train/trainer.h"

#define CHUNK ((int64_t)1 << 18) // elements that pass through host memory at once

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
    *l = (struct slt_attachments){0};
}

// ---- Tensors ----

static void state_info(struct slt_tensor_info *info, const char *name,
                       const struct slt_state *state)
{
    const struct slt_tensor t = state->tensor;
    const bool is_vector = state->rows == 1;
    *info = (struct slt_tensor_info){.dtype = t.dtype == SLT_F64 ? SLT_F32 : t.dtype,
                                     .dims = is_vector ? 1 : 2};
    snprintf(info->name, sizeof info->name, "%.*s.%s", SLT_TENSOR_NAME - 16, name, state->suffix);
    info->shape[0] = is_vector ? state->cols : state->rows;
    info->shape[1] = is_vector ? 0 : state->cols;
    info->bytes = (uint64_t)state->rows * (uint64_t)state->cols * slt_dtype_size(info->dtype);
}

// One tensor of a section: in the file, and where it lies on the device.
struct stored {
    struct slt_tensor_info info;
    struct slt_tensor tensor;
    int64_t first;                   // element
    const struct slt_param *support; // whose positions these are, or NULL
    const struct slt_slot *slot;     // of which ranks have parts each, or NULL
    int state;
};

// The values of the parameters, or the states of the optimizer, in the order of files. The caller
// frees *all.
static int list_tensors(struct stored **all, size_t *count, const struct slt_trainer *t,
                        enum slt_section section, struct slt_error *err)
{
    const struct slt_model *m = t->model;
    struct stored *list = calloc(m->param_count * SLT_OPTIMIZER_STATES, sizeof *list);
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
            list[n].slot = t->optimizer.ranks > 1 && !slot->state[k].everywhere ? slot : NULL;
            list[n].state = k;
        }
    }
    *all = list;
    *count = n;
    return 0;
}

// Elements [at, at + count) of a tensor between the device and a chunk in the file's type.
static void copy_out(struct slt_trainer *t, const struct stored *p, int64_t at, int64_t count,
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

// BF16 values to F32 in their place.
static void widen(char *chunk, int64_t count)
{
    for (int64_t i = count; i-- > 0;) {
        uint16_t half;
        memcpy(&half, chunk + (uint64_t)i * sizeof half, sizeof half);
        const float value = slt_bf16_value(half);
        memcpy(chunk + (uint64_t)i * sizeof value, &value, sizeof value);
    }
}

static void copy_in(struct slt_trainer *t, const struct stored *p, int64_t at, int64_t count,
                    void *chunk)
{
    const struct slt_model *m = t->model;
    const uint64_t size = slt_dtype_size(p->info.dtype);
    const bool widens = p->info.dtype == SLT_BF16 && p->tensor.dtype == SLT_F32;
    if (widens)
        widen(chunk, count);
    if (p->info.dtype == SLT_F32 || widens)
        slt_tensor_write(t->model, p->tensor, p->first + at, chunk, count);
    else
        m->ops->write(m->ctx, p->tensor.buffer, p->tensor.offset + (uint64_t)(p->first + at) * size,
                      chunk, (uint64_t)count * size);
}

// What happens to every chunk of a section's tensors; owner is the rank that has it, all others too
// where ranks do not share the tensor.
typedef int chunk_fn(struct slt_trainer *t, const struct stored *p, int owner, int64_t at,
                     int64_t count, void *chunk, void *user, struct slt_error *err);

// Where a rank's part of a tensor begins.
static int64_t edge(const struct slt_trainer *t, const struct stored *p, int rank)
{
    return slt_state_edge(&t->optimizer, p->slot, p->state, rank);
}

static int each_chunk(struct slt_trainer *t, const struct stored *p, chunk_fn *do_chunk,
                      void *chunk, void *user, struct slt_error *err)
{
    const int64_t total = (int64_t)(p->info.bytes / slt_dtype_size(p->info.dtype));
    int rc = 0, owner = 0;
    for (int64_t at = 0, next; rc == 0 && at < total; at = next) {
        next = total - at < CHUNK ? total : at + CHUNK;
        if (p->slot != NULL) {
            while (edge(t, p, owner + 1) <= at)
                owner++;
            next = edge(t, p, owner + 1) < next ? edge(t, p, owner + 1) : next;
        }
        rc = do_chunk(t, p, owner, at, next - at, chunk, user, err);
        slt_ranks_tick(t->ranks);
    }
    return rc;
}

// Whether this rank has a chunk, and where in its part.
static bool has_chunk(const struct slt_trainer *t, const struct stored *p, int owner, int64_t *at)
{
    if (p->slot == NULL)
        return true;
    *at -= edge(t, p, owner);
    return owner == t->optimizer.rank;
}

// Chunks come to rank 0 from those who have them. Once a chunk cannot be written the others are
// only taken: their owners are on their way.
struct stream {
    struct slt_checkpoint_writer *writer; // NULL: this rank writes nothing
    struct slt_error failure;
};

static int write_chunk(struct slt_trainer *t, const struct stored *p, int owner, int64_t at,
                       int64_t count, void *chunk, void *user, struct slt_error *err)
{
    struct stream *stream = user;
    const size_t bytes = (size_t)count * slt_dtype_size(p->info.dtype);
    const bool writes = stream->writer != NULL && stream->failure.code == 0;
    if (p->slot == NULL && stream->writer == NULL)
        return 0;
    if (has_chunk(t, p, owner, &at))
        copy_out(t, p, at, count, chunk);
    int rc = p->slot != NULL ? slt_ranks_pass(t->ranks, chunk, bytes, owner, 0, err) : 0;
    if (rc == 0 && writes)
        stream->failure.code = slt_checkpoint_write(stream->writer, chunk, bytes, &stream->failure);
    return rc;
}

static int read_chunk(struct slt_trainer *t, const struct stored *p, int owner, int64_t at,
                      int64_t count, void *chunk, void *user, struct slt_error *err)
{
    int rc = slt_checkpoint_read(user, chunk, (size_t)count * slt_dtype_size(p->info.dtype), err);
    if (rc == 0 && has_chunk(t, p, owner, &at))
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

// The tensors of a section, which has been begun; writer NULL: those that rank 0 needs of this one.
static int write_tensors(struct slt_trainer *t, struct slt_checkpoint_writer *writer,
                         const struct stored *list, size_t count, void *chunk,
                         struct slt_error *err)
{
    struct stream stream = {.writer = writer};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = list[i].support != NULL ? write_positions(t, list[i].support, writer, err)
             : list[i].tensor.buffer != NULL || list[i].slot != NULL
                 ? each_chunk(t, &list[i], write_chunk, chunk, &stream, err)
                 : 0;
    return rc != 0 || stream.failure.code == 0 ? rc : slt_error_copy(err, &stream.failure);
}

static int write_model(struct slt_trainer *t, struct slt_checkpoint_writer *writer, void *chunk,
                       struct slt_error *err)
{
    struct stored *list;
    size_t count;
    int rc = list_tensors(&list, &count, t, SLT_SECTION_MODEL, err);
    if (rc != 0)
        return rc;
    rc = write_tensors(t, writer, list, count, chunk, err);
    free(list);
    return rc;
}

// Rank 0 tells the others whether it comes to the states that they have parts of, and then all whether
// they are ready, as ready says of this one.
static int call_owners(struct slt_trainer *t, bool *comes, int ready, struct slt_error *err)
{
    t->called = true;
    if (t->optimizer.ranks == 1)
        return ready;
    int rc = slt_ranks_broadcast(t->ranks, comes, sizeof *comes, 0, err);
    return rc == 0 && *comes ? slt_ranks_settle(t->ranks, ready, err) : rc;
}

int slt_trainer_let_go(struct slt_trainer *t, struct slt_error *err)
{
    bool comes = false;
    int rc = t->called ? 0 : call_owners(t, &comes, 0, err);
    t->called = false;
    return rc;
}

int slt_trainer_send_state(struct slt_trainer *t, struct slt_error *err)
{
    struct stored *list = NULL;
    size_t count = 0;
    bool comes = false;
    if (t->optimizer.ranks == 1)
        return 0;
    void *chunk = malloc((size_t)CHUNK * sizeof(float));
    int rc = chunk != NULL
                 ? list_tensors(&list, &count, t, SLT_SECTION_OPTIMIZER, err)
                 : slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for sending");
    rc = call_owners(t, &comes, rc, err);
    if (rc == 0 && comes)
        rc = write_tensors(t, NULL, list, count, chunk, err);
    free(chunk);
    free(list);
    return rc;
}

static int write_optimizer(struct slt_trainer *t, struct slt_checkpoint_writer *writer, void *chunk,
                           struct slt_error *err)
{
    struct stored *list;
    struct slt_tensor_info *infos = NULL;
    size_t count;
    char *trainer = NULL;
    bool comes = true;
    int rc = list_tensors(&list, &count, t, SLT_SECTION_OPTIMIZER, err);
    if (rc != 0)
        return rc;
    if ((infos = calloc(count + 1, sizeof *infos)) == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of tensors");
    for (size_t i = 0; rc == 0 && i < count; i++)
        infos[i] = list[i].info;
    if (rc == 0 && (rc = slt_trainer_json(t, &trainer, err)) == 0 &&
        (rc = slt_checkpoint_begin(writer, SLT_SECTION_OPTIMIZER, trainer, infos, count, err)) ==
            0 &&
        (rc = call_owners(t, &comes, 0, err)) == 0)
        rc = write_tensors(t, writer, list, count, chunk, err);
    free(trainer);
    free(infos);
    free(list);
    return rc;
}

int slt_trainer_save(struct slt_trainer *t, struct slt_output *out,
                     const struct slt_attachments *attachments, bool with_state,
                     struct slt_error *err)
{
    const struct slt_tokenizer_file tokenizer = {
        attachments->tokenizer_member, attachments->tokenizer, attachments->tokenizer_bytes};
    struct slt_checkpoint_writer *writer = NULL;
    struct slt_param_info *params = NULL;
    size_t count;
    void *chunk = malloc((size_t)CHUNK * sizeof(float));
    int rc =
        chunk != NULL
            ? slt_checkpoint_start(&writer, &params, &count, out, &t->model->config, tokenizer, err)
            : slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for writing");
    if (rc == 0 && (rc = write_model(t, writer, chunk, err)) == 0 && with_state)
        rc = write_optimizer(t, writer, chunk, err);
    if (rc == 0) {
        rc = slt_checkpoint_finish(writer, attachments->provenance, err);
        writer = NULL;
    }
    slt_checkpoint_abandon(writer);
    free(params);
    free(chunk);
    return rc;
}

// Projectors are in the type that the device which wrote them kept them in: BF16 where it computes
// with that. Another device converts them.
static void take_type(struct slt_tensor_info *want, const struct slt_tensor_info *found)
{
    const size_t length = strlen(want->name), end = strlen(".projector");
    if (length < end || strcmp(want->name + length - end, ".projector") != 0 ||
        (found->dtype != SLT_F32 && found->dtype != SLT_BF16))
        return;
    want->bytes = want->bytes / slt_dtype_size(want->dtype) * slt_dtype_size(found->dtype);
    want->dtype = found->dtype;
}

// The optimizer's tensors must be exactly the ones that write_optimizer announces.
static int read_states(struct slt_trainer *t, struct slt_checkpoint_reader *reader, void *chunk,
                       struct slt_error *err)
{
    size_t announced, count;
    struct stored *list;
    int rc = list_tensors(&list, &count, t, SLT_SECTION_OPTIMIZER, err);
    if (rc != 0)
        return rc;
    const struct slt_tensor_info *infos = slt_checkpoint_tensors(reader, &announced);
    int next = 1;
    for (size_t i = 0; rc == 0 && next == 1 && i < count; i++) {
        struct slt_tensor_info *want = &list[i].info;
        const struct slt_tensor_info *info;
        enum slt_section section;
        if (announced == count)
            take_type(want, &infos[i]);
        if (announced != count || !slt_tensors_match(&infos[i], want))
            rc = slt_error_set(err, SLT_ERR_MISMATCH,
                               "'%s' does not hold the state of optimizer %s: tensor %zu is not "
                               "'%s'",
                               slt_checkpoint_name(reader), slt_optimizer_name(t->optimizer.id), i,
                               want->name);
        else
            rc = each_chunk(t, &list[i], read_chunk, chunk, reader, err);
        if (rc == 0)
            next = slt_checkpoint_next(reader, &section, &info, err);
    }
    free(list);
    return rc == 0 && next < 0 ? next : rc;
}

int slt_trainer_load_state(struct slt_trainer *t, struct slt_checkpoint_reader *reader,
                           struct slt_error *err)
{
    int rc = slt_trainer_peek(t, reader, &t->progress, err);
    if (rc != 0)
        return rc;
    void *chunk = malloc((size_t)CHUNK * sizeof(float));
    if (chunk == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for reading");
    rc = read_states(t, reader, chunk, err);
    free(chunk);
    return rc;
}
