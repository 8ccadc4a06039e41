// The parameters of a configuration as tensors of files.
#ifndef SLT_FILES_PARAM_TENSORS_H
#define SLT_FILES_PARAM_TENSORS_H

#include "slt/checkpoint.h"
#include "slt/tokenizer.h"

bool slt_tensors_match(const struct slt_tensor_info *a, const struct slt_tensor_info *b);
// Whether the tensor t in file has the parameter's shape, or its shape and its type.
// SLT_ERR_FORMAT with a sentence that names both.
int slt_param_check_shape(const struct slt_param_info *param, const struct slt_tensor_info *t,
                          const char *file, struct slt_error *err) SLT_CHECK_RESULT;
int slt_param_check(const struct slt_param_info *param, const struct slt_tensor_info *t,
                    const char *file, struct slt_error *err) SLT_CHECK_RESULT;

// Moves to the next tensor, which must be this parameter's.
int slt_param_expect(struct slt_checkpoint_reader *reader, const struct slt_param_info *param,
                     struct slt_error *err) SLT_CHECK_RESULT;

// Reads count values of the tensor that the reader stands at, and hands them to take by chunks, or
// copies them; other words of 4 bytes do as well. stop may be NULL.
typedef int slt_values_take(void *user, const float *values, int64_t count, struct slt_error *err);
int slt_values_read(struct slt_checkpoint_reader *reader, int64_t count, slt_values_take *take,
                    void *user, slt_stop_flag *stop, struct slt_error *err) SLT_CHECK_RESULT;
int slt_values_copy(struct slt_checkpoint_writer *writer, struct slt_checkpoint_reader *reader,
                    int64_t count, slt_stop_flag *stop, struct slt_error *err) SLT_CHECK_RESULT;

// Positions of an explicit support: read from the tensor that the reader stands at, the caller
// frees *position (cols), NULL after an error; and written.
int slt_positions_load(int64_t **position, const struct slt_param_info *param,
                       struct slt_checkpoint_reader *reader,
                       struct slt_error *err) SLT_CHECK_RESULT;
int slt_positions_store(struct slt_checkpoint_writer *writer, const int64_t *position,
                        const struct slt_param_info *param, struct slt_error *err) SLT_CHECK_RESULT;

// What a checkpoint carries beside the model: a tokenizer's file, none where data is NULL.
struct slt_tokenizer_file {
    const char *member;
    const void *data;
    size_t bytes;
};
struct slt_tokenizer_file slt_tokenizer_file(const struct slt_tokenizer *tokenizer); // may be NULL

// Starts a checkpoint of config's model: all its parameters are announced, their values are to be
// written in the order of *params, which the caller frees (NULL after an error).
int slt_checkpoint_start(struct slt_checkpoint_writer **writer, struct slt_param_info **params,
                         size_t *count, struct slt_output *out, const struct slt_config *config,
                         struct slt_tokenizer_file tokenizer,
                         struct slt_error *err) SLT_CHECK_RESULT;

#endif
