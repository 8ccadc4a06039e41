// The small files of a Hugging Face directory, beside the weights.
#ifndef SLT_CONVERT_EXPORT_FILES_H
#define SLT_CONVERT_EXPORT_FILES_H

#include "slt/convert.h"

struct export_folder {
    const char *path;
    const struct slt_config *config; // of what is written
    slt_stop_flag *stop;
};

// Writes a file that appears whole or not at all.
int export_file(const struct export_folder *f, const char *name, const void *data, size_t bytes,
                struct slt_error *err) SLT_CHECK_RESULT;
// Removes what would be taken for a part of the model: files of one that was there before.
int export_clear(const struct export_folder *f, struct slt_error *err) SLT_CHECK_RESULT;
// tokenizer.json (json, bytes), tokenizer_config.json and special_tokens_map.json; of a
// SentencePiece model tokenizer.model besides, as it was found.
int export_tokenizer(const struct export_folder *f, const struct slt_tokenizer *tokenizer,
                     const void *json, size_t bytes, struct slt_error *err) SLT_CHECK_RESULT;
// generation_config.json.
int export_generation(const struct export_folder *f, struct slt_error *err) SLT_CHECK_RESULT;
// README.md: what the model is, was (source) and how it came about (JSON lines, or NULL).
int export_card(const struct export_folder *f, const struct slt_config *source,
                const char *provenance, struct slt_error *err) SLT_CHECK_RESULT;

#endif
