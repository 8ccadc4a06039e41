// Element types of tensors, in files (safetensors names) and in memory.
#ifndef SLT_DTYPE_H
#define SLT_DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum slt_dtype {
    SLT_F32,
    SLT_BF16,
    SLT_F16,
    SLT_F64,
    SLT_I8,
    SLT_U8,
    SLT_U16,
    SLT_I32,
    SLT_I64,
    SLT_DTYPE_COUNT
};

// Bytes of one element.
static inline size_t slt_dtype_size(enum slt_dtype dtype)
{
    static const unsigned char size[SLT_DTYPE_COUNT] = {4, 2, 2, 8, 1, 1, 2, 4, 8};
    return size[dtype];
}

// The safetensors name: "F32", "BF16", ...
static inline const char *slt_dtype_name(enum slt_dtype dtype)
{
    static const char *const name[SLT_DTYPE_COUNT] = {"F32", "BF16", "F16", "F64", "I8",
                                                      "U8",  "U16",  "I32", "I64"};
    return name[dtype];
}

#endif
