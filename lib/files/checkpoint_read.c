// Reading checkpoints. The members come in one order, so the reader is a walk along it: at each
// step only certain names may follow, and the walk ends with a verified manifest or with an error.
// The weights of a quantized model are decoded on the way, so that only who asks for stored tensors
// sees codes.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "files/archive.h"
#include "files/checkpoint_members.h"
#include "files/manifest.h"
#include "files/quantized.h"
#include "files/safetensors.h"

#define SENTENCE_NAME 256

struct section {
    struct slt_tensor_info *stored; // as the file has them
    size_t stored_count;
    struct slt_tensor_info *decoded; // what they stand for; NULL where that is the same
    size_t decoded_count;
    size_t *first; // stored tensor with which a decoded one begins
};

struct slt_checkpoint_reader {
    struct slt_input *in;
    struct slt_archive_in *archive;
    const char *name;
    struct slt_config config;
    char *config_json;
    char *tokenizer, *tokenizer_member;
    size_t tokenizer_bytes;
    char *trainer, *provenance;
    struct section sections[2]; // by enum slt_section
    enum slt_section section;   // the current one
    size_t next;                // tensor of the section that comes next
    uint64_t left;              // bytes in the file of the current tensor
    uint64_t values_left;       // bytes of it that can be read: the same, unless it is decoded
    bool decoding;              // the current tensor is decoded
    struct slt_dequantizer dequantizer;
    bool done; // the manifest was verified
    bool has_digest;
    unsigned char model_digest[SLT_SHA256_BYTES];
    struct slt_error failure; // the first error; there is no way on after it
};

static int unexpected(const struct slt_checkpoint_reader *r, const char *member,
                      const char *expected, struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_FORMAT, "'%s': member '%.100s' where '%s' is expected",
                         r->name, member, expected);
}

// Moves to the next member, which must be there.
static int next_member(struct slt_checkpoint_reader *r, const char **member, uint64_t *bytes,
                       struct slt_error *err)
{
    int rc = slt_archive_in_next(r->archive, member, bytes, err);
    if (rc == 0)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is truncated: " SLT_MANIFEST_NAME " is missing", r->name);
    return rc < 0 ? rc : 0;
}

// Reads a whole member that is small, refusing more than limit.
static int load_member(struct slt_checkpoint_reader *r, char **data, const char *member,
                       uint64_t bytes, uint64_t limit, struct slt_error *err)
{
    void *loaded = NULL;
    if (bytes > limit)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s': '%s' has %llu bytes, more than the %llu supported", r->name,
                             member, (unsigned long long)bytes, (unsigned long long)limit);
    int rc = slt_archive_in_load(r->archive, &loaded, (size_t)bytes, err);
    if (rc == 0)
        *data = loaded;
    return rc;
}

// As load_member, for text that is given out as a string.
static int load_text(struct slt_checkpoint_reader *r, char **text, const char *member,
                     uint64_t bytes, uint64_t limit, struct slt_error *err)
{
    int rc = load_member(r, text, member, bytes, limit, err);
    if (rc == 0 && strlen(*text) != bytes)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': '%s' contains a NUL character", r->name,
                             member);
    return rc;
}

// The file and the member, for sentences about the member's content.
static const char *name_of(char name[SENTENCE_NAME], const struct slt_checkpoint_reader *r,
                           const char *member)
{
    snprintf(name, SENTENCE_NAME, "%.200s: %s", r->name, member);
    return name;
}

static int read_config(struct slt_checkpoint_reader *r, uint64_t bytes, struct slt_error *err)
{
    int rc = load_text(r, &r->config_json, SLT_MEMBER_CONFIG, bytes, SLT_CONFIG_MAX, err);
    if (rc != 0)
        return rc;
    char name[SENTENCE_NAME];
    struct slt_error local = {0};
    rc = slt_config_parse(&r->config, name_of(name, r, SLT_MEMBER_CONFIG), r->config_json,
                          (size_t)bytes, &local);
    if (rc == 0)
        return 0;
    // A value outside its range is the caller's fault elsewhere, here it is the file's.
    return slt_error_set(err, rc == SLT_ERR_RANGE ? SLT_ERR_FORMAT : rc, "%s", local.message);
}

// The current member is a safetensors file: reads its header.
static int open_section(struct slt_checkpoint_reader *r, enum slt_section section,
                        const char *member, uint64_t bytes, struct slt_error *err)
{
    unsigned char prefix[SLT_SAFETENSORS_PREFIX];
    struct section *s = &r->sections[section];
    void *json = NULL;
    char name[SENTENCE_NAME];
    if (bytes < sizeof prefix)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': '%s' is too short for a header", r->name,
                             member);
    int rc = slt_archive_in_read(r->archive, prefix, sizeof prefix, err);
    if (rc != 0)
        return rc;
    const uint64_t header = slt_load_u64(prefix), rest = bytes - sizeof prefix;
    if (header > rest || header > SLT_SAFETENSORS_HEADER_MAX)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s': the header of '%s' claims %llu bytes (there are %llu, at most "
                             "%llu are supported)",
                             r->name, member, (unsigned long long)header, (unsigned long long)rest,
                             (unsigned long long)SLT_SAFETENSORS_HEADER_MAX);
    if ((rc = slt_archive_in_load(r->archive, &json, (size_t)header, err)) != 0)
        return rc;
    rc = slt_safetensors_parse(&s->stored, &s->stored_count, name_of(name, r, member), json,
                               (size_t)header, rest - header, err);
    free(json);
    if (rc == 0 && section == SLT_SECTION_MODEL && r->config.quantization.type != SLT_QUANT_NONE)
        rc = slt_quantized_view(&s->decoded, &s->first, &s->decoded_count, r->name, &r->config,
                                s->stored, s->stored_count, err);
    r->section = section;
    r->next = 0;
    r->left = 0;
    return rc;
}

// config.json, perhaps the tokenizer, and the header of model.safetensors.
static int read_head(struct slt_checkpoint_reader *r, struct slt_error *err)
{
    const char *member = NULL;
    uint64_t bytes = 0;
    int rc = next_member(r, &member, &bytes, err);
    if (rc != 0)
        return rc;
    if (strcmp(member, SLT_MEMBER_CONFIG) != 0)
        return unexpected(r, member, SLT_MEMBER_CONFIG, err);
    if ((rc = read_config(r, bytes, err)) != 0 || (rc = next_member(r, &member, &bytes, err)) != 0)
        return rc;
    if (strcmp(member, SLT_MEMBER_TOKENIZER_MODEL) == 0 ||
        strcmp(member, SLT_MEMBER_TOKENIZER_JSON) == 0) {
        r->tokenizer_member = strdup(member);
        if (r->tokenizer_member == NULL)
            return slt_error_errno(err, "cannot read '%s'", r->name);
        rc = load_member(r, &r->tokenizer, r->tokenizer_member, bytes, SLT_TOKENIZER_MAX, err);
        r->tokenizer_bytes = (size_t)bytes;
        if (rc != 0 || (rc = next_member(r, &member, &bytes, err)) != 0)
            return rc;
    }
    if (strcmp(member, SLT_MEMBER_MODEL) != 0)
        return unexpected(r, member, SLT_MEMBER_MODEL, err);
    return open_section(r, SLT_SECTION_MODEL, SLT_MEMBER_MODEL, bytes, err);
}

// Opens the archive and reads its head. What is not recognised as a checkpoint is none, but the
// reader of archives knows better what is wrong with it.
static int open_archive(struct slt_checkpoint_reader *r, struct slt_error *err)
{
    enum slt_file_kind kind = SLT_FILE_UNKNOWN;
    int rc = slt_input_recognise(&kind, r->in, err);
    if (rc == 0 && kind == SLT_FILE_TOKENS)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is a token file, not a checkpoint",
                             r->name);
    if (rc != 0 || (rc = slt_archive_in_open(&r->archive, r->in, err)) != 0 ||
        (rc = read_head(r, err)) != 0)
        return rc;
    if (kind != SLT_FILE_CHECKPOINT)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': the headers before '%s' are too long",
                             r->name, SLT_MEMBER_CONFIG);
    return 0;
}

int slt_checkpoint_open(struct slt_checkpoint_reader **reader, struct slt_input *in,
                        struct slt_error *err)
{
    struct slt_checkpoint_reader *r = calloc(1, sizeof *r);
    int rc;
    if (r == NULL) {
        rc = slt_error_errno(err, "cannot read '%s'", slt_input_name(in));
        slt_input_close(in);
        return rc;
    }
    r->in = in;
    r->name = slt_input_name(in);
    if ((rc = open_archive(r, err)) != 0) {
        slt_checkpoint_close(r);
        return rc;
    }
    *reader = r;
    return 0;
}

const char *slt_checkpoint_name(const struct slt_checkpoint_reader *reader)
{
    return reader->name;
}

const struct slt_config *slt_checkpoint_config(const struct slt_checkpoint_reader *reader)
{
    return &reader->config;
}

const char *slt_checkpoint_config_json(const struct slt_checkpoint_reader *reader)
{
    return reader->config_json;
}

const void *slt_checkpoint_tokenizer(const struct slt_checkpoint_reader *reader, size_t *bytes,
                                     const char **member)
{
    *bytes = reader->tokenizer_bytes;
    *member = reader->tokenizer_member;
    return reader->tokenizer;
}

static size_t tensor_count(const struct section *s)
{
    return s->decoded != NULL ? s->decoded_count : s->stored_count;
}

const struct slt_tensor_info *slt_checkpoint_tensors(const struct slt_checkpoint_reader *reader,
                                                     size_t *count)
{
    const struct section *s = &reader->sections[reader->section];
    *count = tensor_count(s);
    return s->decoded != NULL ? s->decoded : s->stored;
}

void slt_checkpoint_show_stored(struct slt_checkpoint_reader *reader)
{
    struct section *s = &reader->sections[SLT_SECTION_MODEL];
    assert(reader->section == SLT_SECTION_MODEL && reader->next == 0);
    free(s->decoded);
    free(s->first);
    s->decoded = NULL;
    s->first = NULL;
}

const unsigned char *slt_checkpoint_model_digest(const struct slt_checkpoint_reader *reader)
{
    return reader->has_digest ? reader->model_digest : NULL;
}

void slt_checkpoint_use_threads(struct slt_checkpoint_reader *reader, int threads)
{
    reader->dequantizer.threads = threads;
}

const char *slt_checkpoint_trainer(const struct slt_checkpoint_reader *reader)
{
    return reader->trainer;
}

const char *slt_checkpoint_provenance(const struct slt_checkpoint_reader *reader)
{
    return reader->provenance;
}

// Behind the last tensor of a section: goes on to the optimizer's, or to the end.
static int leave_section(struct slt_checkpoint_reader *r, struct slt_error *err)
{
    const char *member = NULL;
    uint64_t bytes = 0;
    int rc = next_member(r, &member, &bytes, err);
    if (rc != 0)
        return rc;
    if (r->section == SLT_SECTION_MODEL) {
        slt_archive_in_digest(r->archive, r->model_digest);
        r->has_digest = true;
    }
    if (r->section == SLT_SECTION_MODEL && strcmp(member, SLT_MEMBER_TRAINER) == 0) {
        if ((rc = load_text(r, &r->trainer, SLT_MEMBER_TRAINER, bytes, SLT_TRAINER_MAX, err)) !=
                0 ||
            (rc = next_member(r, &member, &bytes, err)) != 0)
            return rc;
        if (strcmp(member, SLT_MEMBER_OPTIMIZER) != 0)
            return unexpected(r, member, SLT_MEMBER_OPTIMIZER, err);
        return open_section(r, SLT_SECTION_OPTIMIZER, SLT_MEMBER_OPTIMIZER, bytes, err);
    }
    if (strcmp(member, SLT_MEMBER_PROVENANCE) == 0) {
        if ((rc = load_text(r, &r->provenance, SLT_MEMBER_PROVENANCE, bytes, SLT_PROVENANCE_MAX,
                            err)) != 0 ||
            (rc = next_member(r, &member, &bytes, err)) != 0)
            return rc;
    }
    if (strcmp(member, SLT_MANIFEST_NAME) != 0)
        return unexpected(r, member, SLT_MANIFEST_NAME, err);
    rc = slt_archive_in_verify(r->archive, err);
    r->done = rc == 0;
    return rc;
}

// Keeps the first error, so that a caller that goes on gets it again.
static int remember(struct slt_checkpoint_reader *r, int rc, const struct slt_error *local,
                    struct slt_error *err)
{
    if (rc < 0) {
        r->failure = *local;
        return slt_error_copy(err, local);
    }
    return rc;
}

// Goes on to the next tensor of the section, and reads the scales of one that is quantized.
static int enter_tensor(struct slt_checkpoint_reader *r, struct slt_error *err)
{
    const struct section *s = &r->sections[r->section];
    const size_t i = r->next++, at = s->decoded != NULL ? s->first[i] : i;
    r->decoding = s->decoded != NULL && strcmp(s->stored[at].name, s->decoded[i].name) != 0;
    if (!r->decoding) {
        r->left = r->values_left = s->stored[at].bytes;
        return 0;
    }
    r->left = s->stored[at + 1].bytes;
    r->values_left = s->decoded[i].bytes;
    return slt_dequantizer_start(&r->dequantizer, &r->config.quantization, r->archive, r->name,
                                 &s->stored[at], (int64_t)(r->values_left / sizeof(float)), err);
}

static int step(struct slt_checkpoint_reader *r, struct slt_error *err)
{
    int rc = slt_archive_in_skip(r->archive, r->left, err);
    r->left = r->values_left = 0;
    while (rc == 0 && !r->done && r->next == tensor_count(&r->sections[r->section]))
        rc = leave_section(r, err);
    if (rc != 0 || r->done)
        return rc;
    rc = enter_tensor(r, err);
    return rc == 0 ? 1 : rc;
}

int slt_checkpoint_next(struct slt_checkpoint_reader *reader, enum slt_section *section,
                        const struct slt_tensor_info **info, struct slt_error *err)
{
    struct slt_checkpoint_reader *r = reader;
    if (r->failure.code != 0)
        return slt_error_copy(err, &r->failure);
    if (r->done)
        return 0;
    struct slt_error local = {0};
    int rc = remember(r, step(r, &local), &local, err);
    if (rc == 1) {
        size_t count;
        *section = r->section;
        *info = &slt_checkpoint_tensors(r, &count)[r->next - 1];
    }
    return rc;
}

int slt_checkpoint_read(struct slt_checkpoint_reader *reader, void *data, size_t bytes,
                        struct slt_error *err)
{
    struct slt_checkpoint_reader *r = reader;
    if (r->failure.code != 0)
        return slt_error_copy(err, &r->failure);
    if (bytes > r->values_left)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s': %zu bytes of a tensor wanted, %llu left",
                             r->name, bytes, (unsigned long long)r->values_left);
    struct slt_error local = {0};
    int rc;
    if (r->decoding) {
        rc = slt_dequantizer_read(&r->dequantizer, r->archive, data, bytes, &r->left, &local);
    } else {
        rc = slt_archive_in_read(r->archive, data, bytes, &local);
        r->left -= rc == 0 ? bytes : 0;
    }
    r->values_left -= rc == 0 ? bytes : 0;
    return remember(r, rc, &local, err);
}

int slt_checkpoint_read_codes(struct slt_checkpoint_reader *reader, void *codes, size_t bytes,
                              const float **absmax, struct slt_error *err)
{
    struct slt_checkpoint_reader *r = reader;
    if (r->failure.code != 0)
        return slt_error_copy(err, &r->failure);
    if (!r->decoding || bytes > r->left)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s': %zu bytes of codes wanted, %llu left",
                             r->name, bytes, r->decoding ? (unsigned long long)r->left : 0);
    struct slt_error local = {0};
    const int rc = slt_archive_in_read(r->archive, codes, bytes, &local);
    *absmax = r->dequantizer.absmax;
    r->left -= rc == 0 ? bytes : 0;
    r->values_left = 0;
    return remember(r, rc, &local, err);
}

int slt_checkpoint_verify(struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    enum slt_section section;
    const struct slt_tensor_info *info;
    int rc;
    while ((rc = slt_checkpoint_next(reader, &section, &info, err)) == 1)
        ;
    return rc;
}

void slt_checkpoint_close(struct slt_checkpoint_reader *reader)
{
    if (reader == NULL)
        return;
    slt_archive_in_close(reader->archive);
    slt_input_close(reader->in);
    free(reader->config_json);
    free(reader->tokenizer);
    free(reader->tokenizer_member);
    free(reader->trainer);
    free(reader->provenance);
    slt_dequantizer_free(&reader->dequantizer);
    for (int i = 0; i < 2; i++) {
        free(reader->sections[i].stored);
        free(reader->sections[i].decoded);
        free(reader->sections[i].first);
    }
    free(reader);
}
