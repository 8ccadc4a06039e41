// Growing arrays of token ids.
#include <stdlib.h>

#include "text/kinds.h"

void slt_token_ids_free(struct slt_token_ids *ids)
{
    free(ids->id);
    *ids = (struct slt_token_ids){0};
}

int slt_token_ids_reserve(struct slt_token_ids *ids, size_t more, struct slt_error *err)
{
    if (ids->capacity - ids->count >= more)
        return 0;
    const size_t capacity = 2 * ids->capacity + more;
    uint32_t *id = realloc(ids->id, capacity * sizeof *id);
    if (id == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu token ids", capacity);
    ids->id = id;
    ids->capacity = capacity;
    return 0;
}
