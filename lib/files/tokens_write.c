// Writing token files: header, tokens, index, end mark, in one pass.
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "files/tokens_format.h"

#define CHUNK_TOKENS 8192

struct slt_tokens_writer {
    struct slt_output *out;
    struct slt_tokens_header header;
    struct slt_tokens_totals totals;
    struct slt_sha256 *digest;
    uint64_t *index; // start of every 256th document
    size_t index_used, index_capacity;
    bool failed;
};

// Writes bytes and digests them.
static int emit(struct slt_tokens_writer *w, const void *data, size_t bytes, struct slt_error *err)
{
    slt_sha256_update(w->digest, data, bytes);
    return slt_output_write(w->out, data, bytes, err);
}

static int emit_header(struct slt_tokens_writer *w, struct slt_error *err)
{
    unsigned char head[SLT_TOKENS_HEADER_BYTES] = {0};
    memcpy(head, SLT_TOKENS_MAGIC, SLT_TOKENS_MAGIC_BYTES);
    slt_store_u32(head + SLT_TOKENS_AT_VERSION, w->header.version);
    slt_store_u32(head + SLT_TOKENS_AT_WIDTH, w->header.width);
    slt_store_u32(head + SLT_TOKENS_AT_VOCAB, w->header.vocab_size);
    slt_store_u32(head + SLT_TOKENS_AT_EOS, w->header.eos);
    slt_store_u32(head + SLT_TOKENS_AT_PAD, w->header.pad);
    memcpy(head + SLT_TOKENS_AT_DIGEST, w->header.digest, SLT_SHA256_BYTES);
    return emit(w, head, sizeof head, err);
}

int slt_tokens_create(struct slt_tokens_writer **writer, struct slt_output *out,
                      const struct slt_tokens_header *header, struct slt_error *err)
{
    const uint32_t vocab = header->vocab_size;
    if (vocab == 0 || (header->eos != SLT_TOKEN_NONE && header->eos >= vocab) ||
        (header->pad != SLT_TOKEN_NONE && header->pad >= vocab))
        return slt_error_set(err, SLT_ERR_RANGE,
                             "eos %u or pad %u is outside a vocabulary of %u tokens", header->eos,
                             header->pad, vocab);
    struct slt_tokens_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return slt_error_errno(err, "cannot write '%s'", slt_output_name(out));
    w->out = out;
    w->header = *header;
    w->header.version = SLT_TOKENS_VERSION;
    w->header.width = slt_tokens_width(vocab);
    int rc = slt_sha256_create(&w->digest, err);
    if (rc == 0)
        rc = emit_header(w, err);
    if (rc != 0) {
        slt_tokens_abandon(w);
        return rc;
    }
    *writer = w;
    return 0;
}

static int add_index_entry(struct slt_tokens_writer *w, struct slt_error *err)
{
    if (w->index_used == w->index_capacity) {
        const size_t capacity = w->index_capacity == 0 ? 256 : w->index_capacity * 2;
        uint64_t *larger = realloc(w->index, capacity * sizeof *larger);
        if (larger == NULL)
            return slt_error_errno(err, "cannot allocate the index of '%s'",
                                   slt_output_name(w->out));
        w->index = larger;
        w->index_capacity = capacity;
    }
    w->index[w->index_used++] = w->totals.tokens;
    return 0;
}

static int emit_tokens(struct slt_tokens_writer *w, const uint32_t *ids, size_t count,
                       struct slt_error *err)
{
    unsigned char bytes[4 * CHUNK_TOKENS];
    int rc = 0;
    for (size_t done = 0; done < count && rc == 0;) {
        const size_t n = count - done < CHUNK_TOKENS ? count - done : CHUNK_TOKENS;
        if (w->header.width == 2)
            for (size_t i = 0; i < n; i++)
                slt_store_u16(bytes + 2 * i, ids[done + i]);
        else
            for (size_t i = 0; i < n; i++)
                slt_store_u32(bytes + 4 * i, ids[done + i]);
        rc = emit(w, bytes, n * w->header.width, err);
        done += n;
    }
    w->totals.tokens += count;
    return rc;
}

// An EOS inside a document would end it for readers.
static int check_ids(const struct slt_tokens_writer *w, const uint32_t *ids, size_t count,
                     struct slt_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= w->header.vocab_size)
            return slt_error_set(err, SLT_ERR_RANGE,
                                 "token %u is outside the vocabulary of %u tokens", ids[i],
                                 w->header.vocab_size);
        if (ids[i] == w->header.eos)
            return slt_error_set(err, SLT_ERR_RANGE,
                                 "a document contains the end-of-sentence token %u", ids[i]);
    }
    return 0;
}

int slt_tokens_append(struct slt_tokens_writer *writer, const uint32_t *ids, size_t count,
                      uint64_t text_bytes, struct slt_error *err)
{
    struct slt_tokens_writer *w = writer;
    const bool has_eos = w->header.eos != SLT_TOKEN_NONE;
    int rc = check_ids(w, ids, count, err);
    if (rc == 0 && has_eos && w->totals.documents % SLT_TOKENS_INDEX_STRIDE == 0)
        rc = add_index_entry(w, err);
    if (rc == 0)
        rc = emit_tokens(w, ids, count, err);
    if (rc == 0 && has_eos)
        rc = emit_tokens(w, &w->header.eos, 1, err);
    w->totals.documents++;
    w->totals.text_bytes += text_bytes;
    w->failed |= rc != 0;
    return rc;
}

static int emit_end(struct slt_tokens_writer *w, struct slt_error *err)
{
    unsigned char end[SLT_TOKENS_END_BYTES] = {0};
    int rc = 0;
    for (size_t i = 0; i < w->index_used && rc == 0; i++) {
        unsigned char entry[SLT_TOKENS_INDEX_BYTES];
        slt_store_u64(entry, w->index[i]);
        rc = emit(w, entry, sizeof entry, err);
    }
    memcpy(end, SLT_TOKENS_END_MAGIC, SLT_TOKENS_MAGIC_BYTES);
    slt_store_u64(end + SLT_TOKENS_END_TOKENS, w->totals.tokens);
    slt_store_u64(end + SLT_TOKENS_END_DOCUMENTS, w->totals.documents);
    slt_store_u64(end + SLT_TOKENS_END_TEXT_BYTES, w->totals.text_bytes);
    slt_store_u64(end + SLT_TOKENS_END_INDEX_OFFSET,
                  SLT_TOKENS_HEADER_BYTES + w->totals.tokens * w->header.width);
    slt_store_u64(end + SLT_TOKENS_END_INDEX_ENTRIES, w->index_used);
    slt_sha256_update(w->digest, end, SLT_TOKENS_END_DIGEST);
    slt_sha256_finish(w->digest, end + SLT_TOKENS_END_DIGEST);
    return rc != 0 ? rc : slt_output_write(w->out, end, sizeof end, err);
}

int slt_tokens_finish(struct slt_tokens_writer *writer, struct slt_tokens_totals *totals,
                      struct slt_error *err)
{
    int rc = 0;
    if (writer->failed)
        rc = slt_error_set(err, SLT_ERR_IO, "'%s' was given up after an error",
                           slt_output_name(writer->out));
    else
        rc = emit_end(writer, err);
    if (rc == 0 && totals != NULL)
        *totals = writer->totals;
    slt_tokens_abandon(writer);
    return rc;
}

void slt_tokens_abandon(struct slt_tokens_writer *writer)
{
    if (writer == NULL)
        return;
    slt_sha256_free(writer->digest);
    free(writer->index);
    free(writer);
}
