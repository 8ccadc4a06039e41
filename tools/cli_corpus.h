// What tools that read text say of it: what each file is taken for, and what was skipped.
#ifndef SLT_TOOLS_CLI_CORPUS_H
#define SLT_TOOLS_CLI_CORPUS_H

#include "slt/corpus.h"

// Says what a file is taken for, where the one before it was taken for something else: for
// slt_corpus_options' on_file.
struct cli_corpus_teller {
    const char *field;
    int last; // kind; -1 before the first file
};
void cli_corpus_tell(void *teller, const char *name, enum slt_corpus_kind kind);
// What all files were taken for: json lines, field "text" or 2 files of text, 3 of json lines.
void cli_corpus_describe(char *text, size_t size, const struct slt_corpus_counts *counts,
                         const char *field);
// One line for each reason why something was skipped, and where that was first.
void cli_corpus_report_skips(const struct slt_corpus *corpus);
// SLT_ERR_FORMAT if a larger share was skipped, of documents and what should have been some, or if
// nothing else was there.
int cli_corpus_check_skips(const struct slt_corpus *corpus, double most, struct slt_error *err)
    SLT_CHECK_RESULT;

#endif
