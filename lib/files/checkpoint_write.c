// Writing checkpoints: the members in their order, each with its size announced and kept.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "files/archive.h"
#include "files/checkpoint_members.h"
#include "files/safetensors.h"

enum stage { STAGE_HEAD, STAGE_MODEL, STAGE_OPTIMIZER };

struct slt_checkpoint_writer {
    struct slt_archive_out *archive;
    const char *name;
    enum stage stage;
    uint64_t left;  // announced tensor data that has not come yet
    uint64_t total; // of the current section
    bool failed;
};

static int write_tokenizer(struct slt_archive_out *archive, const char *member, const void *data,
                           size_t bytes, struct slt_error *err)
{
    if (strcmp(member, SLT_MEMBER_TOKENIZER_MODEL) != 0 &&
        strcmp(member, SLT_MEMBER_TOKENIZER_JSON) != 0)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s' is no name for a tokenizer", member);
    if (bytes > SLT_TOKENIZER_MAX)
        return slt_error_set(err, SLT_ERR_RANGE, "the tokenizer is too large (%zu bytes)", bytes);
    return slt_archive_out_member(archive, member, data, bytes, err);
}

int slt_checkpoint_create(struct slt_checkpoint_writer **writer, struct slt_output *out,
                          const struct slt_config *config, const char *tokenizer_member,
                          const void *tokenizer, size_t tokenizer_bytes, struct slt_error *err)
{
    char *json = NULL;
    struct slt_checkpoint_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return slt_error_errno(err, "cannot write '%s'", slt_output_name(out));
    w->name = slt_output_name(out);
    int rc = slt_config_write(config, &json, err);
    if (rc != 0 || (rc = slt_archive_out_create(&w->archive, out, err)) != 0 ||
        (rc = slt_archive_out_member(w->archive, SLT_MEMBER_CONFIG, json, strlen(json), err)) != 0)
        goto out;
    if (tokenizer != NULL &&
        (rc = write_tokenizer(w->archive, tokenizer_member, tokenizer, tokenizer_bytes, err)) != 0)
        goto out;
    *writer = w;
    w = NULL;
out:
    free(json);
    slt_checkpoint_abandon(w);
    return rc;
}

// All announced data has come.
static int check_complete(const struct slt_checkpoint_writer *w, struct slt_error *err)
{
    if (w->left == 0)
        return 0;
    return slt_error_set(err, SLT_ERR_RANGE, "'%s': %llu of %llu bytes of tensors were not written",
                         w->name, (unsigned long long)w->left, (unsigned long long)w->total);
}

static int begin(struct slt_checkpoint_writer *w, const char *member,
                 const struct slt_tensor_info *tensors, size_t count, struct slt_error *err)
{
    char *header = NULL;
    size_t bytes = 0;
    uint64_t data = 0;
    int rc = slt_safetensors_build(&header, &bytes, &data, tensors, count, err);
    if (rc == 0)
        rc = slt_archive_out_begin(w->archive, member, bytes + data, err);
    if (rc == 0)
        rc = slt_archive_out_write(w->archive, header, bytes, err);
    w->left = w->total = data;
    free(header);
    return rc;
}

int slt_checkpoint_begin(struct slt_checkpoint_writer *writer, enum slt_section section,
                         const char *trainer, const struct slt_tensor_info *tensors, size_t count,
                         struct slt_error *err)
{
    struct slt_checkpoint_writer *w = writer;
    const bool is_model = section == SLT_SECTION_MODEL;
    assert(w->stage == (is_model ? STAGE_HEAD : STAGE_MODEL));
    assert((trainer == NULL) == is_model);
    int rc = check_complete(w, err);
    if (rc == 0 && trainer != NULL)
        rc = slt_archive_out_member(w->archive, SLT_MEMBER_TRAINER, trainer, strlen(trainer), err);
    if (rc == 0)
        rc = begin(w, is_model ? SLT_MEMBER_MODEL : SLT_MEMBER_OPTIMIZER, tensors, count, err);
    w->stage = is_model ? STAGE_MODEL : STAGE_OPTIMIZER;
    w->failed |= rc != 0;
    return rc;
}

int slt_checkpoint_write(struct slt_checkpoint_writer *writer, const void *data, size_t bytes,
                         struct slt_error *err)
{
    struct slt_checkpoint_writer *w = writer;
    int rc = 0;
    if (bytes > w->left)
        rc = slt_error_set(err, SLT_ERR_RANGE, "'%s': more tensor data than announced (%llu bytes)",
                           w->name, (unsigned long long)w->total);
    else
        rc = slt_archive_out_write(w->archive, data, bytes, err);
    if (rc == 0)
        w->left -= bytes;
    w->failed |= rc != 0;
    return rc;
}

int slt_checkpoint_finish(struct slt_checkpoint_writer *writer, const char *provenance,
                          struct slt_error *err)
{
    struct slt_checkpoint_writer *w = writer;
    assert(w->stage != STAGE_HEAD);
    int rc = check_complete(w, err);
    if (rc == 0 && w->failed)
        rc = slt_error_set(err, SLT_ERR_IO, "'%s' was given up after an error", w->name);
    if (rc == 0 && provenance != NULL && *provenance != '\0')
        rc = slt_archive_out_member(w->archive, SLT_MEMBER_PROVENANCE, provenance,
                                    strlen(provenance), err);
    if (rc == 0) {
        rc = slt_archive_out_finish(w->archive, err);
        w->archive = NULL;
    }
    slt_checkpoint_abandon(w);
    return rc;
}

void slt_checkpoint_abandon(struct slt_checkpoint_writer *writer)
{
    if (writer == NULL)
        return;
    slt_archive_out_abandon(writer->archive);
    free(writer);
}
