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

// Spaces, tabs and ends of lines.
bool slt_is_blank(char c);

struct slt_corpus_verdict {
    bool is_text;              // else it is refused
    bool needs_more;           // of the file to tell; all else is then not set
    enum slt_corpus_kind kind; // of what is text
    size_t skip;               // bytes of a byte order mark
    struct slt_error refusal;  // the sentence about name, and what helps
};

// Judges a file called name (for messages, with quotes) by its first bytes; all: it has no more.
// head (bytes) has SLT_JSON_ROOM behind it. 0 or SLT_ERR_MEMORY.
int slt_corpus_judge(struct slt_corpus_verdict *verdict, struct slt_json_reader *reader,
                     const struct slt_corpus_options *options, const char *name, const char *head,
                     size_t bytes, bool all, struct slt_error *err) SLT_CHECK_RESULT;

#endif
