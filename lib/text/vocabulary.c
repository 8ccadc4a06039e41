// The pieces of a tokenizer.json.
#include "text/vocabulary.h"

#include "text/hash.h"

int vocabulary_create(struct vocabulary *v, uint32_t count, struct slt_error *err)
{
    *v = (struct vocabulary){.piece = calloc(count, sizeof *v->piece), .count = count};
    if (v->piece == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %u pieces", count);
    for (uint32_t i = 0; i < count; i++)
        v->piece[i].type = SLT_PIECE_UNUSED;
    // Offset 0 is the empty text of the holes.
    return text_buffer_add(&v->arena, "", 1, err);
}

void vocabulary_free(struct vocabulary *v)
{
    free(v->piece);
    free(v->arena.data);
    free(v->slot);
}

int vocabulary_put(struct vocabulary *v, const struct vocab_entry *e, struct slt_error *err)
{
    struct vocab_piece *p = &v->piece[e->id];
    const char *there = vocabulary_text(v, e->id);
    if (p->is_there &&
        (p->text_bytes != e->text_bytes || memcmp(there, e->text, e->text_bytes) != 0))
        return slt_error_set(err, SLT_ERR_FORMAT, "'%.40s' and '%.40s' have the same id %u", there,
                             e->text, e->id);
    if (v->arena.bytes + e->text_bytes + e->raw_bytes + 1 > UINT32_MAX)
        return slt_error_set(err, SLT_ERR_FORMAT, "its pieces are too long");
    const size_t at = v->arena.bytes;
    int rc = text_buffer_add(&v->arena, e->text, e->text_bytes, err);
    if (rc == 0)
        rc = text_buffer_add(&v->arena, "", 1, err);
    if (rc == 0)
        rc = text_buffer_add(&v->arena, e->raw, e->raw_bytes, err);
    if (rc == 0)
        *p = (struct vocab_piece){.text = (uint32_t)at,
                                  .text_bytes = (uint32_t)e->text_bytes,
                                  .raw = (uint32_t)(at + e->text_bytes + 1),
                                  .raw_bytes = (uint32_t)e->raw_bytes,
                                  .type = e->type,
                                  .is_there = true,
                                  .is_key = e->is_key};
    return rc;
}

static const char *key_of(const struct vocabulary *v, uint32_t id, size_t *bytes)
{
    const struct vocab_piece *p = &v->piece[id];
    *bytes = v->by_raw ? p->raw_bytes : p->text_bytes;
    return v->arena.data + (v->by_raw ? p->raw : p->text);
}

int vocabulary_index(struct vocabulary *v, bool by_raw, struct slt_error *err)
{
    const size_t size = slt_hash_size(v->count);
    v->by_raw = by_raw;
    v->mask = size - 1;
    v->slot = malloc(size * sizeof *v->slot);
    if (v->slot == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a table of %u pieces", v->count);
    memset(v->slot, 0xff, size * sizeof *v->slot);
    for (uint32_t id = 0; id < v->count; id++) {
        size_t bytes;
        if (!v->piece[id].is_key)
            continue;
        const char *key = key_of(v, id, &bytes);
        size_t at = slt_hash_bytes(key, bytes) & v->mask;
        while (v->slot[at] != SLT_TOKEN_NONE)
            at = (at + 1) & v->mask;
        v->slot[at] = id;
    }
    return 0;
}

uint32_t vocabulary_find(const struct vocabulary *v, const char *key, size_t bytes)
{
    for (size_t at = slt_hash_bytes(key, bytes) & v->mask;; at = (at + 1) & v->mask) {
        const uint32_t id = v->slot[at];
        size_t length;
        if (id == SLT_TOKEN_NONE)
            return id;
        const char *text = key_of(v, id, &length);
        if (length == bytes && memcmp(text, key, bytes) == 0)
            return id;
    }
}
