// Decoding one id after the other.
//
// A piece's text depends on what stands before it (a leading space is taken off the first word of
// some models; bytes join into characters). So the decoder keeps a short window of ids: the text of
// window plus new id, less the text of the window, is what the new id adds. It is held back while
// it ends in an incomplete character.
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "slt/tokenizer.h"

#define WINDOW 8  // ids kept as context
#define MOST   64 // ids in the buffer: the context and those whose text waits

struct slt_decoder {
    const struct slt_tokenizer *tokenizer;
    uint32_t id[MOST];
    size_t context, count; // id[0..context) are settled, id[context..count) wait
    char *text;            // of the last push
};

int slt_decoder_create(struct slt_decoder **decoder, const struct slt_tokenizer *tokenizer,
                       struct slt_error *err)
{
    struct slt_decoder *d = calloc(1, sizeof *d);
    if (d == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a decoder");
    d->tokenizer = tokenizer;
    *decoder = d;
    return 0;
}

void slt_decoder_free(struct slt_decoder *d)
{
    if (d == NULL)
        return;
    free(d->text);
    free(d);
}

// Whether text ends in bytes that are not yet a character: as they are, or as U+FFFD, which stands
// for them.
static bool ends_incomplete(const char *text, size_t bytes)
{
    if (bytes >= 3 && memcmp(text + bytes - 3, "\xef\xbf\xbd", 3) == 0)
        return true;
    for (size_t n = 1; n < 4 && n <= bytes; n++)
        if (slt_utf8_starts(text + bytes - n, n))
            return true;
    return false;
}

// What waits becomes context, of which the last few ids are kept.
static void settle(struct slt_decoder *d)
{
    const size_t keep = d->count < WINDOW ? d->count : WINDOW;
    memmove(d->id, d->id + d->count - keep, keep * sizeof *d->id);
    d->context = d->count = keep;
}

int slt_decoder_push(struct slt_decoder *d, uint32_t id, const char **text, size_t *bytes,
                     struct slt_error *err)
{
    char *before = NULL, *all = NULL;
    size_t before_bytes, all_bytes;
    const bool flush = id == SLT_TOKEN_NONE;
    int rc;
    free(d->text);
    d->text = NULL;
    *text = "";
    *bytes = 0;
    if (!flush)
        d->id[d->count++] = id;
    if (d->count == d->context)
        return 0;
    if ((rc = slt_tokenizer_decode(d->tokenizer, &before, &before_bytes, d->id, d->context, err)) !=
            0 ||
        (rc = slt_tokenizer_decode(d->tokenizer, &all, &all_bytes, d->id, d->count, err)) != 0) {
        d->count -= !flush;
        goto out;
    }
    if (!flush && d->count < MOST && ends_incomplete(all, all_bytes))
        goto out;
    if (all_bytes > before_bytes) {
        *bytes = all_bytes - before_bytes;
        memmove(all, all + before_bytes, *bytes + 1);
        *text = d->text = all;
        all = NULL;
    }
    settle(d);
out:
    free(before);
    free(all);
    return rc;
}
