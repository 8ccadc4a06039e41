// What a file of a corpus is, decided once from its beginning.
#ifndef SLT_FILES_CORPUS_KIND_H
#define SLT_FILES_CORPUS_KIND_H

#include "files/corpus_json.h"
#include "slt/corpus.h"

// Where a JSON value ends that begins at text[0]: an object, an array, a string or anything else up
// to what may stand behind it. Start with {0}; false: not within bytes, call again with more of the
// same text. Nothing but brackets and quotes is looked at.
struct slt_json_scan {
    size_t at; // bytes of the value so far; all of it once it has ended
    uint64_t depth;
    bool in_string, escaped;
};
bool slt_json_scan(struct slt_json_scan *scan, const char *text, size_t bytes);

// Spaces, tabs, ends of lines, and what separates records in sequences of JSON texts (RFC 7464).
bool slt_is_blank(char c);

// Whether more of it than text has are control characters.
bool slt_is_binary(const char *text, size_t bytes);

struct slt_corpus_verdict {
    bool is_text;              // else it is refused
    bool needs_more;           // of the file to tell; all else is then not set
    bool no_memory;            // nor where there was none to tell with
    enum slt_corpus_kind kind; // of what is text
    size_t skip;               // bytes of a byte order mark
    struct slt_error refusal;  // the sentence about name, and what helps
};

// The beginning of a file. The options name a field.
struct slt_corpus_head {
    const char *name; // for messages, with quotes
    const char *data; // (bytes), with SLT_JSON_ROOM behind it
    size_t bytes;
    bool is_all; // the file has no more
    bool in_archive;
};
void slt_corpus_judge(struct slt_corpus_verdict *verdict, struct slt_json_reader *reader,
                      const struct slt_corpus_options *options, const struct slt_corpus_head *head);

#endif
