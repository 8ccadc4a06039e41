// The tensors of the safetensors files in a directory, by name; the files are mapped.
//
// Names are those that Hugging Face gives a causal model: the parts module, _orig_mod and the like,
// which wrappers of PyTorch put into them, are left out, and model. is put before the names of a
// model that was saved without its head.
#ifndef SLT_FILES_TENSOR_DIRECTORY_H
#define SLT_FILES_TENSOR_DIRECTORY_H

#include "files/safetensors.h"
#include "slt/stream.h"

struct slt_directory_tensor {
    char *name;                     // as a causal model has it
    struct slt_foreign_tensor file; // with the name in the file
    const unsigned char *data;
    bool used; // for the caller
};

struct slt_tensor_directory {
    struct slt_input **file;
    size_t files;
    struct slt_directory_tensor *tensor; // sorted by name
    size_t tensors;
};

// Opens model.safetensors, or without one the files that model.safetensors.index.json names: an
// index beside the file is of a model that was there before. Errors: those of files,
// SLT_ERR_FORMAT.
int slt_tensor_directory_open(struct slt_tensor_directory *d, const char *directory,
                              slt_stop_flag *stop, struct slt_error *err) SLT_CHECK_RESULT;
void slt_tensor_directory_close(struct slt_tensor_directory *d);
// NULL if there is none of this name.
struct slt_directory_tensor *slt_tensor_directory_find(const struct slt_tensor_directory *d,
                                                       const char *name);
// Whether another tensor has the same name: in another file, or without its wrappers.
bool slt_tensor_directory_has_other(const struct slt_tensor_directory *d,
                                    const struct slt_directory_tensor *tensor);

#endif
