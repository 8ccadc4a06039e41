// A shuffle buffer for documents.
#include <stdlib.h>

#include "slt/random.h"
#include "slt/shards.h"

struct slt_shuffle {
    struct slt_document *held; // (capacity)
    uint64_t capacity, count;
    uint64_t draws;
    struct slt_random_key key;
};

int slt_shuffle_create(struct slt_shuffle **shuffle, uint64_t capacity, uint64_t seed,
                       struct slt_error *err)
{
    struct slt_shuffle *s = calloc(1, sizeof *s);
    if (s != NULL)
        s->held = calloc((size_t)capacity, sizeof *s->held);
    if (s == NULL || s->held == NULL) {
        free(s);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer of %llu documents",
                             (unsigned long long)capacity);
    }
    s->capacity = capacity;
    s->key = slt_random_key("slt-shuffle-1", "", seed);
    *shuffle = s;
    return 0;
}

// A number below below, which is at most 2^32.
static uint64_t draw(struct slt_shuffle *s, uint64_t below)
{
    uint32_t word[4];
    slt_random_block(word, s->key, s->draws++, 0);
    return (uint64_t)word[0] * below >> 32;
}

bool slt_shuffle_push(struct slt_shuffle *s, struct slt_document *out, struct slt_document in)
{
    if (s->count < s->capacity) {
        s->held[s->count++] = in;
        return false;
    }
    const uint64_t slot = draw(s, s->capacity + 1); // the last one is the newcomer's own
    *out = slot < s->capacity ? s->held[slot] : in;
    if (slot < s->capacity)
        s->held[slot] = in;
    return true;
}

bool slt_shuffle_pop(struct slt_shuffle *s, struct slt_document *out)
{
    if (s->count == 0)
        return false;
    const uint64_t slot = draw(s, s->count);
    *out = s->held[slot];
    s->held[slot] = s->held[--s->count];
    return true;
}

void slt_shuffle_free(struct slt_shuffle *s)
{
    if (s == NULL)
        return;
    for (uint64_t i = 0; i < s->count; i++)
        free(s->held[i].text);
    free(s->held);
    free(s);
}
