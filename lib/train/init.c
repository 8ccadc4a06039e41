// Writing a new checkpoint: values by chunks, as functions of seed, name and element.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slt/checkpoint.h"
#include "slt/init.h"
#include "slt/random.h"
#include "slt/support.h"
#include "train/trainer.h"

#define CHUNK ((int64_t)1 << 18) // values made at once
#define BLOCK 4096               // values of one thread's share: a multiple of the four of a block

// values (count): elements [first, first + count) of a tensor.
static void make_values(float *values, const struct slt_config *c, const struct slt_param_info *p,
                        int64_t first, int64_t count)
{
    const struct slt_random_key key = slt_random_key("slt-init-1", p->name, c->seed);
    const bool zero_b = c->method == SLT_SLTRAIN || c->method == SLT_RELORA || c->lora_b_zero;
    // Kaiming's uniform bound with a = sqrt(5) is 1/sqrt(fan in); the fan in of B is the rank.
    const double fan_in = p->role == SLT_ROLE_LORA_B ? (double)c->rank : (double)p->in;
    for (int64_t i = 0; i < count; i++)
        values[i] = p->role == SLT_ROLE_NORM ? 1.0f : 0.0f;
    if (p->role == SLT_ROLE_NORM || (p->role == SLT_ROLE_LORA_B && zero_b))
        return;
    const bool uniform =
        p->role == SLT_ROLE_LORA_A || p->role == SLT_ROLE_LORA_B || p->role == SLT_ROLE_SPARSE;
    const float bound = uniform ? (float)(1 / sqrt(fan_in)) : 0;
#pragma omp parallel for schedule(static)
    for (int64_t at = 0; at < count; at += BLOCK) {
        const size_t n = (size_t)(count - at < BLOCK ? count - at : BLOCK);
        if (uniform)
            slt_random_uniform(values + at, key, (uint64_t)(first + at), n, bound);
        else
            slt_random_normal(values + at, key, (uint64_t)(first + at), n,
                              (float)c->initializer_range);
    }
}

static int write_tensor(struct slt_checkpoint_writer *writer, const struct slt_config *c,
                        const struct slt_param_info *p, float *chunk, slt_stop_flag *stop,
                        struct slt_error *err)
{
    const int64_t total = p->rows * p->cols;
    for (int64_t at = 0; at < total; at += CHUNK) {
        const int64_t count = total - at < CHUNK ? total - at : CHUNK;
        if (stop != NULL && *stop != 0)
            return slt_error_set(err, SLT_ERR_STOPPED, "stopped by a signal");
        make_values(chunk, c, p, at, count);
        int rc = slt_checkpoint_write(writer, chunk, (size_t)count * sizeof *chunk, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

// Copies a tensor from the checkpoint that the model starts from, which has it next.
static int copy_tensor(struct slt_checkpoint_writer *writer, struct slt_checkpoint_reader *from,
                       const struct slt_tensor_info *want, float *chunk, slt_stop_flag *stop,
                       struct slt_error *err)
{
    enum slt_section section;
    const struct slt_tensor_info *t = NULL;
    int rc = slt_checkpoint_next(from, &section, &t, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || section != SLT_SECTION_MODEL || strcmp(t->name, want->name) != 0 ||
        t->bytes != want->bytes || t->dtype != want->dtype)
        return slt_error_set(err, SLT_ERR_MISMATCH, "'%s' has no tensor '%s' where it is due",
                             slt_checkpoint_name(from), want->name);
    for (uint64_t at = 0; rc >= 0 && at < want->bytes;) {
        const uint64_t left = want->bytes - at, most = (uint64_t)CHUNK * sizeof *chunk;
        const size_t n = (size_t)(left < most ? left : most);
        if (stop != NULL && *stop != 0)
            return slt_error_set(err, SLT_ERR_STOPPED, "stopped by a signal");
        if ((rc = slt_checkpoint_read(from, chunk, n, err)) != 0 ||
            (rc = slt_checkpoint_write(writer, chunk, n, err)) != 0)
            return rc;
        at += n;
    }
    return 0;
}

// Verifies what was read, writes provenance and manifest, and frees the writer.
static int finish(struct slt_checkpoint_writer *writer, struct slt_checkpoint_reader *from,
                  const char *provenance, struct slt_error *err)
{
    char *text = NULL;
    int rc = from != NULL ? slt_checkpoint_verify(from, err) : 0;
    const char *before = from != NULL ? slt_checkpoint_provenance(from) : NULL;
    if (rc == 0 && provenance != NULL && before != NULL) {
        const size_t size = strlen(before) + strlen(provenance) + 1;
        if ((text = malloc(size)) == NULL)
            rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu bytes", size);
        else
            snprintf(text, size, "%s%s", before, provenance);
    }
    if (rc == 0)
        rc = slt_checkpoint_finish(writer, text != NULL ? text : provenance, err);
    else
        slt_checkpoint_abandon(writer);
    free(text);
    return rc;
}

int slt_init_write(struct slt_output *out, const struct slt_config *config,
                   const struct slt_tokenizer *tokenizer, struct slt_checkpoint_reader *from,
                   const char *provenance, slt_stop_flag *stop, struct slt_error *err)
{
    struct slt_config c = *config;
    struct slt_param_info *params = NULL;
    struct slt_tensor_info *infos = NULL;
    struct slt_checkpoint_writer *writer = NULL;
    float *chunk = NULL;
    size_t count, bytes = 0;
    const void *data = tokenizer != NULL ? slt_tokenizer_data(tokenizer, &bytes) : NULL;
    const char *member = tokenizer != NULL ? slt_tokenizer_info(tokenizer)->kind : NULL;
    int rc = slt_config_params(&c, &params, &count, err);
    if (rc != 0 || (rc = slt_support_crc(&c.support_crc, &c, err)) != 0)
        goto out;
    infos = calloc(count, sizeof *infos);
    chunk = malloc((size_t)CHUNK * sizeof *chunk);
    if (infos == NULL || chunk == NULL) {
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for new values");
        goto out;
    }
    for (size_t i = 0; i < count; i++)
        slt_tensor_info_of(&infos[i], &params[i]);
    if ((rc = slt_checkpoint_create(&writer, out, &c, member, data, bytes, err)) != 0 ||
        (rc = slt_checkpoint_begin(writer, SLT_SECTION_MODEL, NULL, infos, count, err)) != 0)
        goto out;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const bool factor = params[i].role == SLT_ROLE_LORA_A || params[i].role == SLT_ROLE_LORA_B;
        rc = from != NULL && !factor ? copy_tensor(writer, from, &infos[i], chunk, stop, err)
                                     : write_tensor(writer, &c, &params[i], chunk, stop, err);
    }
    if (rc == 0) {
        rc = finish(writer, from, provenance, err);
        writer = NULL;
    }
out:
    slt_checkpoint_abandon(writer);
    free(params);
    free(infos);
    free(chunk);
    return rc;
}
