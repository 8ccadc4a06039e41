// The files that a corpus is made of, one after the other: plain inputs, and the members of tar and
// zip archives, unpacked.
#ifndef SLT_FILES_CORPUS_SOURCE_H
#define SLT_FILES_CORPUS_SOURCE_H

#include "slt/stream.h"

struct slt_corpus_source;

// paths (count) must outlive the source.
int slt_corpus_source_open(struct slt_corpus_source **source, const char *const *paths,
                           size_t count, slt_stop_flag *stop, struct slt_error *err)
    SLT_CHECK_RESULT;
// Moves to the next file, past what is left of the current one: 1, 0 behind the last one, or an
// error, also where an archive that was read proves to be cut short. An input that holds nothing is
// no file.
int slt_corpus_source_next(struct slt_corpus_source *source, struct slt_error *err)
    SLT_CHECK_RESULT;
// Reads some bytes of the current file; *got is 0 only at its end.
int slt_corpus_source_read(struct slt_corpus_source *source, void *data, size_t bytes, size_t *got,
                           struct slt_error *err) SLT_CHECK_RESULT;
// The current file for messages: 'x.json', or 'x.json' in 'all.tar'.
const char *slt_corpus_source_name(const struct slt_corpus_source *source);
bool slt_corpus_source_in_archive(const struct slt_corpus_source *source);
uint64_t slt_corpus_source_inputs(const struct slt_corpus_source *source); // opened so far
uint64_t slt_corpus_source_empty(const struct slt_corpus_source *source);  // that held nothing
void slt_corpus_source_close(struct slt_corpus_source *source);

#endif
