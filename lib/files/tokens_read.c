// Reading token files: mapped ones, several joined to one, and what is the same for streams.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "files/wait.h"
#include "files/tokens_reader.h"

#define SCRATCH_TOKENS 8192
#define DIGEST_BYTES   ((size_t)64 << 20) // between two looks at the stop flag

// ---- Mapped files ----

static int open_mapped(struct slt_tokens *t, struct slt_error *err)
{
    int rc = slt_tokens_parse_header(
        t, t->map,
        t->map_bytes < SLT_TOKENS_HEADER_BYTES ? (size_t)t->map_bytes : SLT_TOKENS_HEADER_BYTES,
        err);
    if (rc != 0)
        return rc;
    if (t->map_bytes < SLT_TOKENS_HEADER_BYTES + SLT_TOKENS_END_BYTES)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is truncated: its end mark is missing",
                             t->name);
    const uint64_t offset = t->map_bytes - SLT_TOKENS_END_BYTES;
    memcpy(t->content, t->map + t->map_bytes - SLT_SHA256_BYTES, SLT_SHA256_BYTES);
    return slt_tokens_parse_end(t, t->map + offset, offset, err);
}

static const unsigned char *mapped_tokens(const struct slt_tokens *t)
{
    return t->map + SLT_TOKENS_HEADER_BYTES;
}

static const unsigned char *mapped_index(const struct slt_tokens *t)
{
    return mapped_tokens(t) + t->totals.tokens * t->header.width;
}

static int read_mapped(const struct slt_tokens *t, struct slt_tokens_cursor *c, int32_t *ids,
                       size_t count, size_t *got, struct slt_error *err)
{
    const uint64_t left = t->totals.tokens - c->tokens;
    const size_t most = count < left ? count : (size_t)left;
    size_t used = 0;
    while (used < most) {
        size_t done = 0;
        int rc = slt_tokens_decode(t, c, ids + used, mapped_tokens(t) + c->tokens * t->header.width,
                                   most - used, &done, err);
        if (rc != 0)
            return rc;
        used += done;
    }
    *got = used;
    return used < count ? slt_tokens_check_cursor(t, c, mapped_index(t), err) : 0;
}

// Of one file, within its tokens.
static int read_part(const struct slt_tokens *t, int32_t *ids, uint64_t position, size_t count,
                     struct slt_error *err)
{
    const uint32_t vocab = t->header.vocab_size;
    const unsigned char *data = mapped_tokens(t) + position * t->header.width;
    for (size_t i = 0; i < count; i++) {
        const uint32_t id = slt_tokens_at(data, t->header.width, i);
        if (id >= vocab)
            return slt_tokens_bad_id(t, position + i, id, err);
        ids[i] = (int32_t)id;
    }
    return 0;
}

// The position behind the first EOS at or after position, or 0 if there is none.
static uint64_t behind_eos(const struct slt_tokens *t, uint64_t position)
{
    const unsigned char *data = mapped_tokens(t);
    for (; position < t->totals.tokens; position++)
        if (slt_tokens_at(data, t->header.width, position) == t->header.eos)
            return position + 1;
    return 0;
}

// Of one file.
static int find_document(const struct slt_tokens *t, uint64_t number, uint64_t *position,
                         uint64_t *count, struct slt_error *err)
{
    if (!t->has_eos)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "'%s' has no end-of-sentence tokens to tell its documents apart",
                             t->name);
    if (number >= t->totals.documents)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s': document %llu wanted, but there are %llu",
                             t->name, (unsigned long long)number,
                             (unsigned long long)t->totals.documents);
    const uint64_t entry = number / SLT_TOKENS_INDEX_STRIDE;
    uint64_t start = slt_load_u64(mapped_index(t) + SLT_TOKENS_INDEX_BYTES * entry);
    for (uint64_t n = entry * SLT_TOKENS_INDEX_STRIDE; n < number; n++)
        if ((start = behind_eos(t, start)) == 0)
            return slt_tokens_damaged(t, "its index does not fit its documents", err);
    const uint64_t end = behind_eos(t, start);
    if (end == 0)
        return slt_tokens_damaged(t, "its index does not fit its documents", err);
    *position = start;
    *count = end - start;
    return 0;
}

// ---- Joined files ----

int slt_tokens_join(struct slt_tokens *tokens, struct slt_tokens *more, struct slt_error *err)
{
    const struct slt_tokens_header *a = &tokens->header, *b = &more->header;
    const struct slt_tokens_totals before = slt_tokens_totals(tokens);
    struct slt_joined_tokens *list = NULL;
    int rc = 0;
    if (tokens->map == NULL || more->map == NULL)
        rc = slt_error_set(err, SLT_ERR_RANGE,
                           "only plain token files can be read together, and '%s' is a stream",
                           tokens->map == NULL ? tokens->name : more->name);
    else if (a->vocab_size != b->vocab_size || a->eos != b->eos || a->pad != b->pad ||
             memcmp(a->digest, b->digest, sizeof a->digest) != 0)
        rc = slt_error_set(err, SLT_ERR_MISMATCH, "'%s' and '%s' were made with other tokenizers",
                           tokens->name, more->name);
    else if ((list = realloc(tokens->joined, (tokens->joined_count + 1) * sizeof *list)) == NULL)
        rc = slt_error_errno(err, "cannot read '%s'", more->name);
    if (rc != 0) {
        slt_tokens_close(more);
        return rc;
    }
    unsigned char both[2 * SLT_SHA256_BYTES];
    memcpy(both, tokens->content, SLT_SHA256_BYTES);
    memcpy(both + SLT_SHA256_BYTES, more->content, SLT_SHA256_BYTES);
    slt_sha256_of(tokens->content, both, sizeof both);
    tokens->joined = list;
    list[tokens->joined_count++] = (struct slt_joined_tokens){more, before};
    return 0;
}

// The file that has a token's position, or the document with this number.
static struct slt_joined_tokens part_with(const struct slt_tokens *t, uint64_t number,
                                          bool document)
{
    size_t low = 0, high = t->joined_count; // those before low start at or before number
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const struct slt_joined_tokens *j = &t->joined[middle];
        if ((document ? j->before.documents : j->before.tokens) <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? t->joined[low - 1]
                   : (struct slt_joined_tokens){.file = (struct slt_tokens *)t};
}

int slt_tokens_read_at(const struct slt_tokens *tokens, int32_t *ids, uint64_t position,
                       size_t count, struct slt_error *err)
{
    const uint64_t all = slt_tokens_totals(tokens).tokens;
    assert(tokens->map != NULL);
    if (position > all || count > all - position)
        return slt_error_set(
            err, SLT_ERR_RANGE, "'%s': %zu tokens at position %llu wanted, but there are %llu",
            tokens->name, count, (unsigned long long)position, (unsigned long long)all);
    while (count > 0) {
        const struct slt_joined_tokens part = part_with(tokens, position, false);
        const uint64_t at = position - part.before.tokens, left = part.file->totals.tokens - at;
        const size_t n = count < left ? count : (size_t)left;
        int rc = read_part(part.file, ids, at, n, err);
        if (rc != 0)
            return rc;
        ids += n;
        position += n;
        count -= n;
    }
    return 0;
}

int slt_tokens_document(const struct slt_tokens *tokens, uint64_t number, uint64_t *position,
                        uint64_t *count, struct slt_error *err)
{
    assert(tokens->map != NULL);
    const struct slt_joined_tokens part = part_with(tokens, number, true);
    int rc = find_document(part.file, number - part.before.documents, position, count, err);
    *position += rc == 0 ? part.before.tokens : 0;
    return rc;
}

// ---- Both ----

int slt_tokens_open(struct slt_tokens **tokens, struct slt_input *in, struct slt_error *err)
{
    enum slt_file_kind kind = SLT_FILE_UNKNOWN;
    bool is_zstd = false;
    const void *map = NULL;
    struct slt_error local = {0};
    int rc = 0;
    struct slt_tokens *t = calloc(1, sizeof *t);
    if (t == NULL) {
        rc = slt_error_errno(err, "cannot read '%s'", slt_input_name(in));
        slt_input_close(in);
        return rc;
    }
    t->in = in;
    t->name = slt_input_name(in);
    if ((rc = slt_input_recognise(&kind, in, err)) != 0 ||
        (rc = slt_unpack_recognise(&is_zstd, in, err)) != 0)
        goto out;
    if (kind == SLT_FILE_CHECKPOINT) {
        rc = slt_error_set(err, SLT_ERR_FORMAT, "'%s' is a checkpoint, not a token file", t->name);
        goto out;
    }
    rc = is_zstd ? SLT_ERR_RANGE : slt_input_map(in, &map, &t->map_bytes, &local);
    if (rc == 0) {
        // An empty file has no map, but must be told from a stream.
        t->map = map != NULL ? map : (const unsigned char *)"";
        rc = open_mapped(t, err);
    } else if (rc == SLT_ERR_RANGE) {
        rc = slt_tokens_stream_open(t, err);
    } else {
        rc = slt_error_copy(err, &local);
    }
    if (rc != 0)
        goto out;
    *tokens = t;
    t = NULL;
out:
    slt_tokens_close(t);
    return rc;
}

const struct slt_tokens_header *slt_tokens_header(const struct slt_tokens *tokens)
{
    return &tokens->header;
}

const char *slt_tokens_name(const struct slt_tokens *tokens)
{
    return tokens->name;
}

bool slt_tokens_is_mapped(const struct slt_tokens *tokens)
{
    return tokens->map != NULL;
}

const unsigned char *slt_tokens_digest(const struct slt_tokens *tokens)
{
    return tokens->map != NULL ? tokens->content : NULL;
}

struct slt_tokens_totals slt_tokens_totals(const struct slt_tokens *tokens)
{
    if (tokens->joined_count == 0)
        return tokens->totals;
    const struct slt_joined_tokens *last = &tokens->joined[tokens->joined_count - 1];
    const struct slt_tokens_totals *a = &last->before, *b = &last->file->totals;
    return (struct slt_tokens_totals){a->tokens + b->tokens, a->documents + b->documents,
                                      a->text_bytes + b->text_bytes};
}

int slt_tokens_read(struct slt_tokens *tokens, int32_t *ids, size_t count, size_t *got,
                    struct slt_error *err)
{
    struct slt_tokens *t = tokens;
    if (t->map != NULL)
        return read_mapped(t, &t->cursor, ids, count, got, err);
    if (t->failure.code != 0)
        return slt_error_copy(err, &t->failure);
    struct slt_error local = {0};
    int rc = slt_tokens_stream_read(t, ids, count, got, &local);
    if (rc != 0) {
        t->failure = local;
        return slt_error_copy(err, &local);
    }
    return 0;
}

// Of a mapped file.
static int check_digest(const struct slt_tokens *t, struct slt_error *err)
{
    unsigned char digest[SLT_SHA256_BYTES];
    struct slt_sha256 *running = NULL;
    const size_t all = (size_t)t->map_bytes - SLT_SHA256_BYTES;
    int rc = slt_sha256_create(&running, err);
    if (rc != 0)
        return rc;
    for (size_t at = 0, n; rc == 0 && at < all; at += n) {
        n = all - at < DIGEST_BYTES ? all - at : DIGEST_BYTES;
        slt_sha256_update(running, t->map + at, n);
        rc = slt_error_stopped(slt_input_stop_flag(t->in), err);
    }
    slt_sha256_finish(running, digest);
    slt_sha256_free(running);
    if (rc == 0 && memcmp(digest, t->map + all, sizeof digest) != 0)
        rc = slt_tokens_damaged(t, "its digest does not match", err);
    return rc;
}

int slt_tokens_check(struct slt_tokens *tokens, struct slt_error *err)
{
    struct slt_tokens_cursor all = {0};
    int32_t ids[SCRATCH_TOKENS];
    size_t got;
    do {
        int rc = slt_error_stopped(slt_input_stop_flag(tokens->in), err);
        if (rc != 0)
            return rc;
        rc = tokens->map != NULL ? read_mapped(tokens, &all, ids, SCRATCH_TOKENS, &got, err)
                                 : slt_tokens_read(tokens, ids, SCRATCH_TOKENS, &got, err);
        if (rc != 0)
            return rc;
    } while (got == SCRATCH_TOKENS);
    return tokens->map != NULL ? check_digest(tokens, err) : 0;
}

void slt_tokens_close(struct slt_tokens *tokens)
{
    if (tokens == NULL)
        return;
    slt_unpack_close(tokens->unpack);
    slt_sha256_free(tokens->digest);
    slt_input_close(tokens->in);
    for (size_t i = 0; i < tokens->joined_count; i++)
        slt_tokens_close(tokens->joined[i].file);
    free(tokens->joined);
    free(tokens->buffer);
    free(tokens);
}
