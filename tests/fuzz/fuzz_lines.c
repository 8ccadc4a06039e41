// Fuzz target: the reader of text, JSON lines and archives. Whatever comes in, its documents are
// UTF-8, not longer than the split, and as many as it counts. tests/fuzz/run builds and runs it.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE // memfd_create
#endif
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "slt/corpus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Continuation bytes where they belong; the reader itself also knows overlong forms.
static int is_plausible(const unsigned char *s, size_t bytes)
{
    size_t want = 0;
    for (size_t i = 0; i < bytes; i++) {
        if ((want > 0) != ((s[i] & 0xc0) == 0x80))
            return 0;
        want = want > 0 ? want - 1 : s[i] >= 0xf0 ? 3 : s[i] >= 0xe0 ? 2 : s[i] >= 0xc0 ? 1 : 0;
    }
    return want == 0;
}

static int read_all(const char *path, const struct slt_corpus_options *options)
{
    struct slt_error err;
    struct slt_corpus *corpus = NULL;
    const char *text;
    size_t bytes;
    uint64_t documents = 0, sum = 0;
    int rc = slt_corpus_open(&corpus, &path, 1, options, &err);
    if (rc != 0)
        return rc;
    while ((rc = slt_corpus_next(corpus, &text, &bytes, &err)) == 1) {
        if (!is_plausible((const unsigned char *)text, bytes) ||
            (options->split > 0 && bytes > options->split + 3))
            abort();
        documents++;
        sum += bytes;
    }
    const struct slt_corpus_counts *c = slt_corpus_counts(corpus);
    if (c->documents != documents || c->text_bytes != sum)
        abort();
    slt_corpus_close(corpus);
    return rc;
}

// Reads data in several ways: 0 if it can be read.
static int fuzz_read_lines(const uint8_t *data, size_t size)
{
    static const struct slt_corpus_options ways[] = {
        {.format = SLT_CORPUS_AUTO, .split = 64},
        {.format = SLT_CORPUS_JSONL, .longest = 50000},
        {.format = SLT_CORPUS_TEXT, .document = SLT_DOCUMENT_BLANK, .split = 100, .longest = 50000},
        {.format = SLT_CORPUS_AUTO, .document = SLT_DOCUMENT_LINE},
        {.format = SLT_CORPUS_AUTO, .field = "a.b"}, // which most JSON lacks
    };
    char path[64];
    const int fd = memfd_create("input", 0);
    int rc = 0;
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const int one = read_all(path, &ways[i]);
        rc = rc == 0 && ways[i].field == NULL ? one : rc;
    }
    close(fd);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_read_lines(data, size);
    return 0;
}
