// Reading the reference values of tests/vectors: a whole safetensors file, and its tensors by name.
#ifndef SLT_TESTS_VECTORS_H
#define SLT_TESTS_VECTORS_H

#include <stdlib.h>

#include "check.h"
#include "files/safetensors.h"

struct vector_file {
    void *file;                   // the whole file
    const char *data;             // its tensors' data
    struct slt_tensor_info *info; // (count)
    size_t count;
};

// tests/vectors/NAME.safetensors.
static inline void vector_file_read(struct vector_file *v, const char *name)
{
    struct slt_error err;
    char path[200];
    size_t bytes;
    uint64_t header;
    *v = (struct vector_file){0};
    snprintf(path, sizeof path, "tests/vectors/%s.safetensors", name);
    CHECK_OK(slt_file_read(&v->file, &bytes, path, 1 << 24, NULL, &err), err);
    memcpy(&header, v->file, sizeof header);
    v->data = (const char *)v->file + 8 + header;
    CHECK_OK(slt_safetensors_parse(&v->info, &v->count, path, (const char *)v->file + 8, header,
                                   bytes - 8 - header, &err),
             err);
}

static inline void vector_file_free(struct vector_file *v)
{
    free(v->file);
    free(v->info);
}

// The data of the tensor whose name is prefix and name together; *n is its number of elements.
static inline const void *vector_find(const struct vector_file *v, const char *prefix,
                                      const char *name, size_t *n)
{
    char want[SLT_TENSOR_NAME + 32];
    const char *data = v->data;
    snprintf(want, sizeof want, "%s%s", prefix, name);
    for (size_t i = 0; i < v->count; data += v->info[i++].bytes) {
        if (strcmp(v->info[i].name, want) == 0) {
            *n = (size_t)v->info[i].bytes / slt_dtype_size(v->info[i].dtype);
            return data;
        }
    }
    CHECK(false, "no tensor '%s'", want);
    *n = 0;
    return NULL;
}

// The values of tests/vectors/hashed.py.
static inline void vector_hashed(double *values, int seed, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint64_t h = ((uint64_t)i + 1) * 2654435761u + (uint64_t)seed * 40503u;
        h = (h ^ (h >> 13)) * 1274126177u & 0xffffffffu;
        const float size = (0.5f + (float)(h >> 9) * 0x1p-24f) / (float)(1 << i % 4);
        values[i] = h & 1 ? (double)size : -(double)size;
    }
}

#endif
