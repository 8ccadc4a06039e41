// Documents from text files, JSON and archives, one after the other, in input order.
#ifndef SLT_CORPUS_H
#define SLT_CORPUS_H

#include <stdint.h>

#include "slt/error.h"
#include "slt/stream.h"

// What inputs may be; auto decides for each file.
enum slt_corpus_format { SLT_CORPUS_AUTO, SLT_CORPUS_TEXT, SLT_CORPUS_JSONL };
enum slt_corpus_document { SLT_DOCUMENT_FILE, SLT_DOCUMENT_LINE, SLT_DOCUMENT_BLANK };

// What a file is taken for. It is decided once, from its first MiB (more where the first record is
// longer): JSON lines where at least as many lines are objects, if with faults, as are not; a JSON
// array where there is an object in it; JSON objects one after the other, over several lines each,
// where the first one is; else text. A byte order mark of UTF-8 and blank lines are passed over.
enum slt_corpus_kind {
    SLT_KIND_TEXT,
    SLT_KIND_JSON_LINES,
    SLT_KIND_JSON_ARRAY,
    SLT_KIND_JSON_OBJECTS,
    SLT_CORPUS_KINDS
};
SLT_API const char *slt_corpus_kind_name(enum slt_corpus_kind kind); // "text", "json lines"

struct slt_corpus_options {
    enum slt_corpus_format format;
    // The field of a JSON object that holds a text, "text" if NULL; with dots between names, a
    // field of an object in a field.
    const char *field;
    enum slt_corpus_document document; // what a document is in plain text
    uint64_t split;      // longest document in bytes, cut at a newline before it; 0: never cut
    uint64_t split_line; // the same where a document is a line of text
    uint64_t longest; // line, paragraph or JSON record in bytes; longer ones are skipped; 0: 256 Mi
    // Told of each file, with its name for messages ('a.json', or 'a.json' in 'all.tar').
    void (*on_file)(void *user, const char *name, enum slt_corpus_kind kind);
    void *user;
    slt_stop_flag *stop;
};

// Why something gave no document.
enum slt_corpus_skip {
    SLT_SKIP_NO_JSON,  // lines or elements of an array
    SLT_SKIP_NO_FIELD, // objects without the field
    SLT_SKIP_NO_TEXT,  // objects whose field is no string
    SLT_SKIP_TWICE,    // objects with the field twice
    SLT_SKIP_NO_UTF8,  // documents that are no UTF-8
    SLT_SKIP_TOO_LONG, // lines or paragraphs
    SLT_SKIP_BINARY,   // documents of text with many control characters
    SLT_SKIP_NO_FILE,  // members of archives that are no text
    SLT_CORPUS_SKIPS
};
// "record that is no JSON object", or the same of several.
SLT_API const char *slt_corpus_skip_name(enum slt_corpus_skip skip, uint64_t count);

struct slt_corpus_counts {
    uint64_t documents, text_bytes;
    uint64_t skipped[SLT_CORPUS_SKIPS];
    uint64_t inputs, members;         // files opened, and what they and archives hold that was read
    uint64_t empty;                   // inputs and members of no bytes, which are no documents
    uint64_t kinds[SLT_CORPUS_KINDS]; // members
};

struct slt_corpus;

// paths (count): files in order, "-" for standard input; compressed files (gzip, zstd, xz, bzip2,
// lz4, also in archives), tar and zip archives are recognised by content. Checksums of all of them
// are compared. An input that is neither text nor JSON with the field is refused; a member of an
// archive is skipped. The array and strings must outlive the corpus.
SLT_API int slt_corpus_open(struct slt_corpus **corpus, const char *const *paths, size_t count,
                            const struct slt_corpus_options *options,
                            struct slt_error *err) SLT_CHECK_RESULT;
// Returns 1 with the next document (*text valid until the next call), 0 at the end, or a negative
// error. A document may be empty: a line, or a field of JSON.
SLT_API int slt_corpus_next(struct slt_corpus *corpus, const char **text, size_t *bytes,
                            struct slt_error *err) SLT_CHECK_RESULT;
SLT_API const struct slt_corpus_counts *slt_corpus_counts(const struct slt_corpus *corpus);
// Where the first of these was skipped, for messages: line 3 of 'a.json'. "" if there is none.
SLT_API const char *slt_corpus_first_skip(const struct slt_corpus *corpus,
                                          enum slt_corpus_skip skip);
SLT_API void slt_corpus_close(struct slt_corpus *corpus);

#endif
