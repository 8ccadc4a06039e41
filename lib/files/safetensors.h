// The header of a safetensors file: 8 bytes of length, JSON with names, types, shapes and offsets,
// then the data of all tensors without gaps.
#ifndef SLT_FILES_SAFETENSORS_H
#define SLT_FILES_SAFETENSORS_H

#include "slt/checkpoint.h"

#define SLT_SAFETENSORS_PREFIX 8
// Room for 100,000 tensors; JSON trees are many times larger than their text.
#define SLT_SAFETENSORS_HEADER_MAX ((uint64_t)16 << 20)

// Builds the header of tensors (count) that follow each other in this order, its 8 bytes of length
// in front and spaces behind, so that the data is aligned to 8 bytes. *data_bytes is what follows
// it. The caller frees *header. Errors: SLT_ERR_RANGE for a bad or repeated tensor, SLT_ERR_MEMORY.
int slt_safetensors_build(char **header, size_t *bytes, uint64_t *data_bytes,
                          const struct slt_tensor_info *tensors, size_t count,
                          struct slt_error *err) SLT_CHECK_RESULT;

// Parses the JSON (bytes, without the length) of a header before data_bytes of data, of a file such
// as slt_safetensors_build makes. The tensors come in the order of their data; the caller frees
// *tensors. Errors: SLT_ERR_FORMAT, with name in the sentence.
int slt_safetensors_parse(struct slt_tensor_info **tensors, size_t *count, const char *name,
                          const char *json, size_t bytes, uint64_t data_bytes,
                          struct slt_error *err) SLT_CHECK_RESULT;

// A tensor as the header of another program's file describes it, of any name, type and shape.
struct slt_foreign_tensor {
    char *name;
    char type[24];  // as it is written there, cut to fit
    bool is_known;  // the type is info.dtype, and info.bytes is what it and the shape ask for
    uint64_t begin; // the first byte in the data
    // Without the name. dims may be above SLT_TENSOR_MAX_DIMS; the shape is then its beginning.
    struct slt_tensor_info info;
};

// As slt_safetensors_parse, for such a file: what describes no tensor is passed over, but the
// tensors must still fill the data without gaps and overlaps. The caller frees the list.
int slt_safetensors_parse_foreign(struct slt_foreign_tensor **tensors, size_t *count,
                                  const char *name, const char *json, size_t bytes,
                                  uint64_t data_bytes, struct slt_error *err) SLT_CHECK_RESULT;
void slt_foreign_tensors_free(struct slt_foreign_tensor *tensors, size_t count);

#endif
