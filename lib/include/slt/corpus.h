// Documents from text files, JSON lines and archives, one after the other, in input order.
#ifndef SLT_CORPUS_H
#define SLT_CORPUS_H

#include <stdint.h>

#include "slt/error.h"
#include "slt/stream.h"

enum slt_corpus_format { SLT_CORPUS_AUTO, SLT_CORPUS_TEXT, SLT_CORPUS_JSONL };
enum slt_corpus_document { SLT_DOCUMENT_FILE, SLT_DOCUMENT_LINE, SLT_DOCUMENT_BLANK };

struct slt_corpus_options {
    enum slt_corpus_format format; // auto: JSON lines if the first line is an object with the field
    const char *field;             // JSON field, "text" if NULL
    enum slt_corpus_document document; // what a document is in plain text
    uint64_t split;   // longest document in bytes, cut at a newline before it; 0: never cut
    uint64_t longest; // line or paragraph in bytes; longer ones are skipped; 0: 256 Mi
    slt_stop_flag *stop;
};

struct slt_corpus_counts {
    uint64_t documents, text_bytes;
    uint64_t bad_json, bad_utf8; // lines or documents that were skipped
    uint64_t too_long;           // lines or paragraphs that were skipped
    uint64_t inputs, members;    // files opened, archive members read
};

struct slt_corpus;

// paths (count): files in order, "-" for standard input; compressed files (gzip, zstd, xz), tar and
// zip archives are recognised by content (libarchive with these readers and filters only). The
// array and strings must outlive the corpus.
SLT_API int slt_corpus_open(struct slt_corpus **corpus, const char *const *paths, size_t count,
                            const struct slt_corpus_options *options,
                            struct slt_error *err) SLT_CHECK_RESULT;
// Returns 1 with the next document (*text valid until the next call), 0 at the end, or a negative
// error.
SLT_API int slt_corpus_next(struct slt_corpus *corpus, const char **text, size_t *bytes,
                            struct slt_error *err) SLT_CHECK_RESULT;
SLT_API const struct slt_corpus_counts *slt_corpus_counts(const struct slt_corpus *corpus);
SLT_API void slt_corpus_close(struct slt_corpus *corpus);

#endif
