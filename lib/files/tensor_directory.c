// Safetensors files of a directory.
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/json.h"
#include "files/safetensors.h"
#include "files/tensor_directory.h"

#define INDEX_MAX ((size_t)64 << 20)

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct slt_directory_tensor *)a)->name,
                  ((const struct slt_directory_tensor *)b)->name);
}

static int compare_key(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct slt_directory_tensor *)tensor)->name);
}

// ---- Names ----

// Whether a part of a name (length characters) is one that a wrapper adds: data parallelism,
// compilation, sharding, recomputation.
static bool is_wrapper(const char *part, size_t length)
{
    static const char *const wrappers[] = {"module", "_orig_mod", "_fsdp_wrapped_module",
                                           "_checkpoint_wrapped_module"};
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (strlen(wrappers[i]) == length && memcmp(part, wrappers[i], length) == 0)
            return true;
    return false;
}

// Whether a name begins as in a model without its head.
static bool is_of_base_model(const char *name)
{
    static const char *const begins[] = {"embed_tokens.", "layers.", "norm."};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(name, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

// The name of a causal model for one in a file; NULL without memory. The caller frees it.
static char *causal_name(const char *file_name)
{
    static const char base[] = "model.";
    char *name = malloc(strlen(file_name) + sizeof base);
    if (name == NULL)
        return NULL;
    char *end = name + sizeof base - 1; // room for it
    for (const char *part = file_name; *part != '\0';) {
        const size_t length = strcspn(part, "."), all = length + (part[length] == '.');
        if (part[length] == '\0' || !is_wrapper(part, length)) {
            memcpy(end, part, all);
            end += all;
        }
        part += all;
    }
    *end = '\0';
    char *const bare = name + sizeof base - 1;
    if (is_of_base_model(bare))
        memcpy(name, base, sizeof base - 1);
    else
        memmove(name, bare, (size_t)(end - bare) + 1);
    return name;
}

// ---- Files ----

// Adds the tensors (count) of a file with this data, and owns what they have from now on.
static int add_tensors(struct slt_tensor_directory *d, const struct slt_foreign_tensor *tensors,
                       size_t count, const unsigned char *data, struct slt_error *err)
{
    struct slt_directory_tensor *all =
        realloc(d->tensor, (d->tensors + count + 1) * sizeof *d->tensor);
    bool has_memory = all != NULL;
    if (all != NULL)
        d->tensor = all;
    for (size_t i = 0; i < count; i++) {
        char *name = has_memory ? causal_name(tensors[i].name) : NULL;
        has_memory = name != NULL;
        if (has_memory)
            d->tensor[d->tensors++] =
                (struct slt_directory_tensor){name, tensors[i], data + tensors[i].begin, false};
        else
            free(tensors[i].name);
    }
    return has_memory || count == 0
               ? 0
               : slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of tensors");
}

// Adds the tensors of one file.
static int add_file(struct slt_tensor_directory *d, const char *path, slt_stop_flag *stop,
                    struct slt_error *err)
{
    struct slt_input **files = realloc(d->file, (d->files + 1) * sizeof(struct slt_input *));
    struct slt_foreign_tensor *tensors;
    const unsigned char *data;
    const void *mapped;
    uint64_t bytes, header;
    size_t count;
    if (files == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of files");
    d->file = files;
    int rc = slt_input_open(&d->file[d->files], path, stop, err);
    if (rc != 0)
        return rc;
    d->files++;
    if ((rc = slt_input_map(d->file[d->files - 1], &mapped, &bytes, err)) != 0)
        return rc;
    data = mapped;
    if (bytes < SLT_SAFETENSORS_PREFIX || (header = slt_load_u64(data)) > bytes - 8 ||
        header > SLT_SAFETENSORS_HEADER_MAX)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is no safetensors file, or cut short",
                             path);
    if ((rc = slt_safetensors_parse_foreign(&tensors, &count, path, (const char *)data + 8,
                                            (size_t)header, bytes - 8 - header, err)) != 0)
        return rc;
    rc = add_tensors(d, tensors, count, data + 8 + header, err);
    free(tensors);
    return rc;
}

// The path (PATH_MAX) of a file in the directory.
static int path_in(char *path, const char *directory, const char *name, struct slt_error *err)
{
    const int n = snprintf(path, PATH_MAX, "%s/%s", directory, name);
    return n > 0 && n < PATH_MAX
               ? 0
               : slt_error_set(err, SLT_ERR_RANGE, "the path '%s/%s' is too long", directory, name);
}

// The names of an index may not lead out of the directory.
static int add_indexed(struct slt_tensor_directory *d, const char *directory, const char *index,
                       const json_t *map, slt_stop_flag *stop, struct slt_error *err)
{
    json_t *seen = json_object(); // the files that were added
    const char *tensor;
    json_t *file;
    int rc = 0;
    if (!json_is_object(map))
        rc = slt_error_set(err, SLT_ERR_FORMAT, "'%s' has no object \"weight_map\"", index);
    json_object_foreach ((json_t *)map, tensor, file) {
        char path[PATH_MAX];
        const char *name = json_string_value(file);
        if (rc != 0 || (name != NULL && json_object_get(seen, name) != NULL))
            continue;
        if (name == NULL || strchr(name, '/') != NULL || *name == '\0') {
            rc = slt_error_set(err, SLT_ERR_FORMAT, "'%s' names no file for '%s'", index, tensor);
            continue;
        }
        if (json_object_set_new(seen, name, json_true()) != 0)
            rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of files");
        if (rc == 0 && (rc = path_in(path, directory, name, err)) == 0)
            rc = add_file(d, path, stop, err);
    }
    json_decref(seen);
    return rc;
}

// The files that the index names.
static int open_indexed(struct slt_tensor_directory *d, const char *directory, const char *index,
                        slt_stop_flag *stop, struct slt_error *err)
{
    void *text = NULL;
    size_t bytes;
    json_t *root = NULL;
    int rc = slt_file_read(&text, &bytes, index, INDEX_MAX, stop, err);
    if (rc == 0 && (rc = slt_json_parse_python(&root, index, text, bytes, err)) == 0)
        rc = add_indexed(d, directory, index, json_object_get(root, "weight_map"), stop, err);
    free(text);
    json_decref(root);
    return rc;
}

int slt_tensor_directory_open(struct slt_tensor_directory *d, const char *directory,
                              slt_stop_flag *stop, struct slt_error *err)
{
    char one[PATH_MAX], index[PATH_MAX];
    bool has_one = false, has_index = false;
    *d = (struct slt_tensor_directory){0};
    int rc = path_in(one, directory, "model.safetensors", err);
    if (rc == 0)
        rc = path_in(index, directory, "model.safetensors.index.json", err);
    if (rc == 0)
        rc = slt_file_exists(&has_one, one, err);
    if (rc == 0 && !has_one)
        rc = slt_file_exists(&has_index, index, err);
    if (rc == 0)
        rc = has_index ? open_indexed(d, directory, index, stop, err) : add_file(d, one, stop, err);
    if (rc == 0)
        qsort(d->tensor, d->tensors, sizeof *d->tensor, compare_names);
    else
        slt_tensor_directory_close(d);
    return rc;
}

void slt_tensor_directory_close(struct slt_tensor_directory *d)
{
    for (size_t i = 0; i < d->files; i++)
        slt_input_close(d->file[i]);
    for (size_t i = 0; i < d->tensors; i++) {
        free(d->tensor[i].name);
        free(d->tensor[i].file.name);
    }
    free(d->file);
    free(d->tensor);
    *d = (struct slt_tensor_directory){0};
}

struct slt_directory_tensor *slt_tensor_directory_find(const struct slt_tensor_directory *d,
                                                       const char *name)
{
    return bsearch(name, d->tensor, d->tensors, sizeof *d->tensor, compare_key);
}

bool slt_tensor_directory_has_other(const struct slt_tensor_directory *d,
                                    const struct slt_directory_tensor *t)
{
    const struct slt_directory_tensor *const end = d->tensor + d->tensors;
    return (t > d->tensor && compare_names(t - 1, t) == 0) ||
           (t + 1 < end && compare_names(t + 1, t) == 0);
}
