// The header of a safetensors file, built and parsed. Parsing believes nothing: every size is
// computed again from type and shape, and the tensors must fill the data without gaps or overlaps.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/json.h"
#include "files/safetensors.h"

#define METADATA "__metadata__"

static bool dtype_of_name(enum slt_dtype *dtype, const char *name)
{
    for (int d = 0; d < SLT_DTYPE_COUNT; d++) {
        if (strcmp(name, slt_dtype_name((enum slt_dtype)d)) == 0) {
            *dtype = (enum slt_dtype)d;
            return true;
        }
    }
    return false;
}

// Printable ASCII that needs no escapes in JSON.
static bool name_is_plain(const char *name)
{
    if (*name == '\0' || strcmp(name, METADATA) == 0)
        return false;
    for (; *name != '\0'; name++)
        if (*name < 0x20 || *name > 0x7e || *name == '"' || *name == '\\')
            return false;
    return true;
}

// The bytes of a tensor of this type and shape; false if they do not fit into 63 bits.
static bool tensor_bytes(uint64_t *bytes, enum slt_dtype dtype, int dims, const int64_t *shape)
{
    uint64_t product = slt_dtype_size(dtype);
    for (int d = 0; d < dims; d++)
        if (shape[d] < 0)
            return false;
    // An empty tensor may have any other dimensions.
    for (int d = 0; d < dims; d++)
        if (shape[d] == 0)
            product = 0;
    for (int d = 0; d < dims; d++)
        if (__builtin_mul_overflow(product, (uint64_t)shape[d], &product))
            return false;
    *bytes = product;
    return product <= INT64_MAX;
}

// Checks one description: name, type, shape, and that bytes is their product.
static int check_tensor(const struct slt_tensor_info *tensor, struct slt_error *err)
{
    uint64_t bytes = 0;
    if (memchr(tensor->name, '\0', sizeof tensor->name) == NULL || !name_is_plain(tensor->name))
        return slt_error_set(err, SLT_ERR_RANGE, "'%.*s' is no name for a tensor", SLT_TENSOR_NAME,
                             tensor->name);
    if ((unsigned)tensor->dtype >= SLT_DTYPE_COUNT || tensor->dims < 0 ||
        tensor->dims > SLT_TENSOR_MAX_DIMS ||
        !tensor_bytes(&bytes, tensor->dtype, tensor->dims, tensor->shape))
        return slt_error_set(err, SLT_ERR_RANGE, "tensor '%s' has an impossible type or shape",
                             tensor->name);
    if (bytes != tensor->bytes)
        return slt_error_set(err, SLT_ERR_RANGE, "tensor '%s' has %llu bytes, not %llu",
                             tensor->name, (unsigned long long)bytes,
                             (unsigned long long)tensor->bytes);
    return 0;
}

// ---- Building ----

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_tensors(const struct slt_tensor_info *tensors, size_t count, struct slt_error *err)
{
    int rc = 0;
    const char **names = malloc((count + 1) * sizeof *names);
    if (names == NULL)
        return slt_error_errno(err, "cannot allocate a list of tensors");
    for (size_t i = 0; i < count; i++) {
        if ((rc = check_tensor(&tensors[i], err)) != 0)
            goto out;
        names[i] = tensors[i].name;
    }
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            rc = slt_error_set(err, SLT_ERR_RANGE, "tensor '%s' is there twice", names[i]);
            goto out;
        }
    }
out:
    free(names);
    return rc;
}

static void print_tensor(FILE *f, const struct slt_tensor_info *t, uint64_t offset)
{
    fprintf(f, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, slt_dtype_name(t->dtype));
    for (int d = 0; d < t->dims; d++)
        fprintf(f, d == 0 ? "%lld" : ",%lld", (long long)t->shape[d]);
    fprintf(f, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)offset,
            (unsigned long long)(offset + t->bytes));
}

int slt_safetensors_build(char **header, size_t *bytes, uint64_t *data_bytes,
                          const struct slt_tensor_info *tensors, size_t count,
                          struct slt_error *err)
{
    char *text = NULL;
    size_t size = 0;
    uint64_t offset = 0;
    int rc = check_tensors(tensors, count, err);
    if (rc != 0)
        return rc;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL)
        return slt_error_errno(err, "cannot allocate a safetensors header");
    fprintf(f, "%*s{\"" METADATA "\":{\"format\":\"pt\"}", SLT_SAFETENSORS_PREFIX, "");
    for (size_t i = 0; i < count && rc == 0; i++) {
        print_tensor(f, &tensors[i], offset);
        offset += tensors[i].bytes;
        if (offset > INT64_MAX)
            rc = slt_error_set(err, SLT_ERR_RANGE, "the tensors are too large together");
    }
    fputc('}', f);
    while (fflush(f) == 0 && size % 8 != 0)
        fputc(' ', f);
    const bool failed = ferror(f) != 0;
    if ((fclose(f) != 0 || failed) && rc == 0)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a safetensors header");
    if (rc == 0 && size - SLT_SAFETENSORS_PREFIX > SLT_SAFETENSORS_HEADER_MAX)
        rc = slt_error_set(err, SLT_ERR_RANGE, "%zu tensors are too many for one file", count);
    if (rc != 0) {
        free(text);
        return rc;
    }
    slt_store_u64(text, size - SLT_SAFETENSORS_PREFIX);
    *header = text;
    *bytes = size;
    *data_bytes = offset;
    return 0;
}

// ---- Parsing ----

static int bad(struct slt_error *err, const char *file, const char *tensor, const char *what)
{
    return slt_error_set(err, SLT_ERR_FORMAT, "'%s': tensor '%.200s' %s", file, tensor, what);
}

// A whole number of at least 0.
static bool get_count(int64_t *value, const json_t *item)
{
    if (!json_is_integer(item) || json_integer_value(item) < 0)
        return false;
    *value = json_integer_value(item);
    return true;
}

// The shape, of however many dimensions, and the bytes of so many elements of the type.
static int parse_shape(struct slt_foreign_tensor *t, const char *file, const json_t *shape,
                       struct slt_error *err)
{
    const size_t dims = json_array_size(shape);
    int64_t size = 0;
    uint64_t bytes = slt_dtype_size(t->info.dtype);
    bool fits = true;
    for (size_t d = 0; d < dims; d++) {
        if (!get_count(&size, json_array_get(shape, d)))
            return bad(err, file, t->name, "has a bad shape");
        if (d < SLT_TENSOR_MAX_DIMS)
            t->info.shape[d] = size;
        if (size == 0) // an empty tensor may have any other dimensions
            bytes = 0;
    }
    for (size_t d = 0; d < dims; d++)
        fits &= !__builtin_mul_overflow(
            bytes, (uint64_t)json_integer_value(json_array_get(shape, d)), &bytes);
    t->info.dims = dims < INT32_MAX ? (int)dims : INT32_MAX;
    t->info.bytes = bytes;
    return !t->is_known || (fits && bytes <= INT64_MAX) ? 0
                                                        : bad(err, file, t->name, "is too large");
}

// Where the tensor lies; of a type that is not known this says how many bytes it has.
static int parse_place(struct slt_foreign_tensor *t, const char *file, const json_t *offsets,
                       uint64_t data_bytes, struct slt_error *err)
{
    int64_t begin, end;
    if (json_array_size(offsets) != 2 || !get_count(&begin, json_array_get(offsets, 0)) ||
        !get_count(&end, json_array_get(offsets, 1)))
        return bad(err, file, t->name, "is not described by dtype, shape and data_offsets");
    if (!t->is_known)
        t->info.bytes = begin <= end ? (uint64_t)end - (uint64_t)begin : 0;
    if (begin > end || (uint64_t)end - (uint64_t)begin != t->info.bytes)
        return slt_error_set(
            err, SLT_ERR_FORMAT, "'%s': tensor '%.200s' needs %llu bytes, but lies at [%lld, %lld)",
            file, t->name, (unsigned long long)t->info.bytes, (long long)begin, (long long)end);
    if ((uint64_t)end > data_bytes)
        return slt_error_set(
            err, SLT_ERR_FORMAT,
            "'%s': tensor '%.200s' ends at byte %lld, beyond the data (%llu bytes)", file, t->name,
            (long long)end, (unsigned long long)data_bytes);
    t->begin = (uint64_t)begin;
    return 0;
}

static int parse_tensor(struct slt_foreign_tensor *t, const char *file, const char *key,
                        const json_t *item, uint64_t data_bytes, struct slt_error *err)
{
    const json_t *shape = json_object_get(item, "shape");
    const char *dtype = json_string_value(json_object_get(item, "dtype"));
    int rc;
    t->name = strdup(key);
    if (t->name == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the name of a tensor");
    if (dtype == NULL || !json_is_array(shape))
        return bad(err, file, key, "is not described by dtype, shape and data_offsets");
    snprintf(t->type, sizeof t->type, "%s", dtype);
    t->is_known = dtype_of_name(&t->info.dtype, dtype);
    rc = parse_shape(t, file, shape, err);
    return rc == 0 ? parse_place(t, file, json_object_get(item, "data_offsets"), data_bytes, err)
                   : rc;
}

// What a file of ours does not have besides, into the tensor's place in a list of ours.
static int make_own(struct slt_tensor_info *info, const struct slt_foreign_tensor *t,
                    const char *file, const json_t *item, struct slt_error *err)
{
    if (strlen(t->name) >= sizeof info->name || !name_is_plain(t->name))
        return bad(err, file, t->name, "has a name that is too long or not plain ASCII");
    if (json_object_size(item) != 3)
        return bad(err, file, t->name, "is not described by dtype, shape and data_offsets");
    if (!t->is_known)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': tensor '%s' has the unsupported type '%s'",
                             file, t->name, t->type);
    if (t->info.dims > SLT_TENSOR_MAX_DIMS)
        return bad(err, file, t->name, "has more than 4 dimensions");
    *info = t->info;
    memcpy(info->name, t->name, strlen(t->name) + 1);
    return 0;
}

static int check_metadata(const char *file, const json_t *metadata, struct slt_error *err)
{
    const char *key;
    json_t *value;
    if (metadata == NULL)
        return 0;
    if (!json_is_object(metadata))
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': " METADATA " is no object", file);
    json_object_foreach ((json_t *)metadata, key, value)
        if (!json_is_string(value))
            return slt_error_set(err, SLT_ERR_FORMAT,
                                 "'%s': " METADATA " has a value that is no string", file);
    return 0;
}

// By place; empty tensors come before the one that starts where they lie, and else by name.
static int compare_places(const void *a, const void *b)
{
    const struct slt_foreign_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->info.bytes != y->info.bytes)
        return x->info.bytes < y->info.bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int check_places(const struct slt_foreign_tensor *tensors, size_t count, const char *file,
                        uint64_t data_bytes, struct slt_error *err)
{
    uint64_t end = 0;
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].begin != end)
            return slt_error_set(
                err, SLT_ERR_FORMAT, "'%s': tensor '%.200s' begins at byte %llu, not at %llu", file,
                tensors[i].name, (unsigned long long)tensors[i].begin, (unsigned long long)end);
        end += tensors[i].info.bytes;
    }
    if (end != data_bytes)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s': the tensors end at byte %llu, the data at %llu", file,
                             (unsigned long long)end, (unsigned long long)data_bytes);
    return 0;
}

void slt_foreign_tensors_free(struct slt_foreign_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(tensors[i].name);
    free(tensors);
}

// All tensors of a header, which the caller keeps in *root, also after an error. is_own: other
// things in it are refused.
static int parse_header(struct slt_foreign_tensor **tensors, size_t *count, json_t **root,
                        bool is_own, const char *name, const char *json, size_t bytes,
                        uint64_t data_bytes, struct slt_error *err)
{
    size_t n = 0;
    const char *key;
    json_t *item;
    int rc = slt_json_parse(root, name, json, bytes, err);
    if (rc != 0)
        return rc;
    struct slt_foreign_tensor *list = calloc(json_object_size(*root) + 1, sizeof *list);
    if (list == NULL)
        return slt_error_errno(err, "cannot allocate the list of tensors of '%s'", name);
    if (is_own)
        rc = check_metadata(name, json_object_get(*root, METADATA), err);
    json_object_foreach (*root, key, item)
        if (rc == 0 && strcmp(key, METADATA) != 0)
            rc = parse_tensor(&list[n++], name, key, item, data_bytes, err);
    if (rc == 0) {
        qsort(list, n, sizeof *list, compare_places);
        rc = check_places(list, n, name, data_bytes, err);
    }
    if (rc != 0) {
        slt_foreign_tensors_free(list, n);
        return rc;
    }
    *tensors = list;
    *count = n;
    return 0;
}

int slt_safetensors_parse_foreign(struct slt_foreign_tensor **tensors, size_t *count,
                                  const char *name, const char *json, size_t bytes,
                                  uint64_t data_bytes, struct slt_error *err)
{
    json_t *root = NULL;
    int rc = parse_header(tensors, count, &root, false, name, json, bytes, data_bytes, err);
    json_decref(root);
    return rc;
}

int slt_safetensors_parse(struct slt_tensor_info **tensors, size_t *count, const char *name,
                          const char *json, size_t bytes, uint64_t data_bytes,
                          struct slt_error *err)
{
    json_t *root = NULL;
    struct slt_foreign_tensor *all = NULL;
    struct slt_tensor_info *list = NULL;
    size_t n = 0;
    int rc = parse_header(&all, &n, &root, true, name, json, bytes, data_bytes, err);
    if (rc == 0 && (list = calloc(n + 1, sizeof *list)) == NULL)
        rc = slt_error_errno(err, "cannot allocate the list of tensors of '%s'", name);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = make_own(&list[i], &all[i], name, json_object_get(root, all[i].name), err);
    slt_foreign_tensors_free(all, n);
    json_decref(root);
    if (rc != 0) {
        free(list);
        return rc;
    }
    *tensors = list;
    *count = n;
    return 0;
}
