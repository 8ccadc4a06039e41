// What must hold in a token file: its header, its end mark, its ids, and that what was read to the
// end is what the end mark and the index say.
#include <string.h>

#include "files/tokens_reader.h"

int slt_tokens_damaged(const struct slt_tokens *t, const char *what, struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is damaged: %s", t->name, what);
}

uint64_t slt_tokens_tail_bytes(const struct slt_tokens *t, uint64_t documents)
{
    return SLT_TOKENS_END_BYTES +
           SLT_TOKENS_INDEX_BYTES * slt_tokens_index_entries(t->has_eos, documents);
}

int slt_tokens_parse_header(struct slt_tokens *t, const unsigned char *head, size_t bytes,
                            struct slt_error *err)
{
    struct slt_tokens_header *h = &t->header;
    if (bytes == 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is empty", t->name);
    if (bytes < SLT_TOKENS_MAGIC_BYTES ||
        memcmp(head, SLT_TOKENS_MAGIC, SLT_TOKENS_MAGIC_BYTES) != 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is no token file", t->name);
    if (bytes < SLT_TOKENS_HEADER_BYTES)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is truncated: it ends inside its header",
                             t->name);
    h->version = slt_load_u32(head + SLT_TOKENS_AT_VERSION);
    h->width = slt_load_u32(head + SLT_TOKENS_AT_WIDTH);
    h->vocab_size = slt_load_u32(head + SLT_TOKENS_AT_VOCAB);
    h->eos = slt_load_u32(head + SLT_TOKENS_AT_EOS);
    h->pad = slt_load_u32(head + SLT_TOKENS_AT_PAD);
    memcpy(h->digest, head + SLT_TOKENS_AT_DIGEST, SLT_SHA256_BYTES);
    t->has_eos = h->eos != SLT_TOKEN_NONE;
    if (h->version != SLT_TOKENS_VERSION)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is a token file of version %u; only version %d is supported",
                             t->name, h->version, SLT_TOKENS_VERSION);
    if (h->vocab_size == 0 || h->width != slt_tokens_width(h->vocab_size))
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is damaged: tokens of %u bytes for a vocabulary of %u", t->name,
                             h->width, h->vocab_size);
    if ((t->has_eos && h->eos >= h->vocab_size) ||
        (h->pad != SLT_TOKEN_NONE && h->pad >= h->vocab_size) ||
        slt_load_u32(head + SLT_TOKENS_AT_RESERVED) != 0)
        return slt_tokens_damaged(
            t, "its header has a token outside the vocabulary or a reserved field set", err);
    return 0;
}

int slt_tokens_parse_end(struct slt_tokens *t, const unsigned char *end, uint64_t offset,
                         struct slt_error *err)
{
    static const unsigned char zeros[SLT_TOKENS_END_DIGEST - SLT_TOKENS_END_RESERVED];
    if (memcmp(end, SLT_TOKENS_END_MAGIC, SLT_TOKENS_MAGIC_BYTES) != 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is truncated: its end mark is missing",
                             t->name);
    const struct slt_tokens_totals totals = {
        .tokens = slt_load_u64(end + SLT_TOKENS_END_TOKENS),
        .documents = slt_load_u64(end + SLT_TOKENS_END_DOCUMENTS),
        .text_bytes = slt_load_u64(end + SLT_TOKENS_END_TEXT_BYTES),
    };
    const uint64_t index = slt_load_u64(end + SLT_TOKENS_END_INDEX_OFFSET);
    const uint64_t entries = slt_load_u64(end + SLT_TOKENS_END_INDEX_ENTRIES);
    // Compared by subtraction and division, which cannot overflow.
    if (index < SLT_TOKENS_HEADER_BYTES || index > offset ||
        (index - SLT_TOKENS_HEADER_BYTES) % t->header.width != 0 ||
        (index - SLT_TOKENS_HEADER_BYTES) / t->header.width != totals.tokens ||
        (offset - index) % SLT_TOKENS_INDEX_BYTES != 0 ||
        (offset - index) / SLT_TOKENS_INDEX_BYTES != entries ||
        entries != slt_tokens_index_entries(t->has_eos, totals.documents))
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is damaged: its end mark (%llu tokens, %llu documents) does not "
                             "fit its size",
                             t->name, (unsigned long long)totals.tokens,
                             (unsigned long long)totals.documents);
    if ((t->has_eos &&
         (totals.documents > totals.tokens || (totals.documents == 0) != (totals.tokens == 0))) ||
        memcmp(end + SLT_TOKENS_END_RESERVED, zeros, sizeof zeros) != 0)
        return slt_tokens_damaged(t, "its end mark contradicts itself", err);
    t->totals = totals;
    t->finished = true;
    return 0;
}

int slt_tokens_check_cursor(const struct slt_tokens *t, const struct slt_tokens_cursor *c,
                            const unsigned char *index, struct slt_error *err)
{
    if (c->tokens != t->totals.tokens)
        return slt_tokens_damaged(t, "its end mark has another number of tokens", err);
    if (!t->has_eos)
        return 0;
    if (c->in_document)
        return slt_tokens_damaged(t, "its last document has no end", err);
    if (c->documents != t->totals.documents)
        return slt_tokens_damaged(t, "its end mark has another number of documents", err);
    const uint64_t entries = slt_tokens_index_entries(t->has_eos, c->documents);
    if (slt_crc32(0, index, (size_t)(entries * SLT_TOKENS_INDEX_BYTES)) != c->index_crc)
        return slt_tokens_damaged(t, "its index does not fit its documents", err);
    return 0;
}

int slt_tokens_bad_id(const struct slt_tokens *t, uint64_t position, uint32_t id,
                      struct slt_error *err)
{
    return slt_error_set(
        err, SLT_ERR_FORMAT,
        "'%s' is damaged: token %u at position %llu is outside the vocabulary (%u)", t->name, id,
        (unsigned long long)position, t->header.vocab_size);
}

// A document begins at the cursor: its index entry, if it has one, goes into the checksum.
static void begin_document(struct slt_tokens_cursor *c)
{
    unsigned char entry[SLT_TOKENS_INDEX_BYTES];
    c->in_document = true;
    if (c->documents % SLT_TOKENS_INDEX_STRIDE == 0) {
        slt_store_u64(entry, c->tokens);
        c->index_crc = slt_crc32(c->index_crc, entry, sizeof entry);
    }
}

int slt_tokens_decode(const struct slt_tokens *t, struct slt_tokens_cursor *c, int32_t *ids,
                      const unsigned char *data, size_t count, size_t *done, struct slt_error *err)
{
    const uint32_t vocab = t->header.vocab_size, eos = t->header.eos, width = t->header.width;
    size_t i = 0;
    bool longer = false;
    for (; i < count && !longer; i++) {
        const uint32_t id = slt_tokens_at(data, width, i);
        if (id >= vocab)
            return slt_tokens_bad_id(t, c->tokens, id, err);
        if (t->has_eos && !c->in_document)
            begin_document(c);
        if (id == eos) {
            c->in_document = false;
            longer = c->documents++ % SLT_TOKENS_INDEX_STRIDE == 0;
        }
        c->tokens++;
        ids[i] = (int32_t)id;
    }
    *done = i;
    return 0;
}
