// Tokenizers that consist of several files.
#ifndef SLT_FILES_TOKENIZER_DIRECTORY_H
#define SLT_FILES_TOKENIZER_DIRECTORY_H

#include "slt/stream.h"
#include "slt/tokenizer.h"

// Told a sentence about what may not be meant, with texts of files in it as they are.
struct slt_tokenizer_listener {
    void (*on_note)(void *user, const char *sentence);
    void *user;
};

// As slt_tokenizer_open of a directory, but *tokenizer is NULL where it has none. listener: NULL
// for nobody.
int slt_tokenizer_of_directory(struct slt_tokenizer **tokenizer, const char *directory,
                               const struct slt_tokenizer_listener *listener, slt_stop_flag *stop,
                               struct slt_error *err) SLT_CHECK_RESULT;

#endif
