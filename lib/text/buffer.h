// Bytes that grow.
#ifndef SLT_TEXT_BUFFER_H
#define SLT_TEXT_BUFFER_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "slt/error.h"

struct text_buffer {
    char *data;
    size_t bytes, capacity;
};

SLT_CHECK_RESULT static inline int text_buffer_reserve(struct text_buffer *b, size_t more,
                                                       struct slt_error *err)
{
    if (b->capacity - b->bytes >= more)
        return 0;
    const size_t capacity = 2 * b->capacity + more;
    char *data = realloc(b->data, capacity);
    if (data == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu bytes of text", capacity);
    b->data = data;
    b->capacity = capacity;
    return 0;
}

SLT_CHECK_RESULT static inline int text_buffer_add(struct text_buffer *b, const char *text,
                                                   size_t bytes, struct slt_error *err)
{
    const int rc = text_buffer_reserve(b, bytes, err);
    if (rc == 0 && bytes > 0) {
        memcpy(b->data + b->bytes, text, bytes);
        b->bytes += bytes;
    }
    return rc;
}

#endif
