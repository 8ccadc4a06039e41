// Options that a model's configuration recommends (config.json, slt.training).
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "slt/number.h"
#include "train/options.h"

static bool set_scales(char *at, const struct slt_train_option *f, const json_t *value)
{
    const char *name;
    json_t *item;
    if (!json_is_object(value))
        return false;
    json_object_foreach ((json_t *)value, name, item) {
        const int choice = slt_choice_find(f->choices, name);
        const double scale = json_number_value(item);
        if (choice < 0 || !json_is_number(item))
            return false;
        memcpy(at + (size_t)choice * sizeof scale, &scale, sizeof scale);
    }
    return true;
}

// Puts a value into its field; false if it is of another type.
static bool set_value(struct slt_train_options *o, const struct slt_train_option *f,
                      const json_t *value)
{
    char *at = (char *)o + f->offset;
    const int64_t whole = json_integer_value(value);
    const double real = json_number_value(value);
    const bool flag = json_is_true(value);
    const int choice = f->kind == SLT_OPTION_CHOICE && json_is_string(value)
                           ? slt_choice_find(f->choices, json_string_value(value))
                           : -1;
    switch (f->kind) {
    case SLT_OPTION_WHOLE:
        memcpy(at, &whole, sizeof whole);
        return json_is_integer(value);
    case SLT_OPTION_REAL:
        memcpy(at, &real, sizeof real);
        return json_is_number(value);
    case SLT_OPTION_CHOICE:
        memcpy(at, &choice, sizeof choice);
        return choice >= 0;
    case SLT_OPTION_SCALES:
        return set_scales(at, f, value);
    default:
        memcpy(at, &flag, sizeof flag);
        return json_is_boolean(value);
    }
}

// Appends " --name VALUE".
static void tell(char *text, size_t size, const struct slt_train_option *f, const json_t *value)
{
    const size_t at = strlen(text);
    char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
    const char *plain = json_is_string(value) ? json_string_value(value) : shown;
    snprintf(text + at, size - at, "%s--%s%s%s", at > 0 ? " " : "", f->name,
             json_is_boolean(value) ? "" : " ",
             json_is_boolean(value) || plain == NULL ? "" : plain);
    free(shown);
}

// Sets what is recommended in o, but for what the command line gives.
static int set_all(struct slt_train_options *o, const json_t *root,
                   bool (*is_given)(const char *name), struct slt_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)root, key, value) {
        const struct slt_train_option *f = slt_train_option_of_key(key);
        struct slt_train_options scratch = *o;
        if (f == NULL)
            return slt_error_set(err, SLT_ERR_FORMAT,
                                 "slt.training in config.json: there is no option \"%s\"", key);
        if (!set_value(is_given(f->name) ? &scratch : o, f, value))
            return slt_error_set(err, SLT_ERR_FORMAT,
                                 "slt.training in config.json: the value of \"%s\" is none that "
                                 "the option can have",
                                 key);
    }
    return 0;
}

int slt_train_adopt(struct slt_train_options *options, const struct slt_config *config,
                    bool (*is_given)(const char *name), char *text, size_t size,
                    struct slt_error *err)
{
    struct slt_train_options all = *options;
    json_t *root = NULL, *value;
    const char *key;
    text[0] = '\0';
    if (config->training[0] == '\0')
        return 0;
    int rc = slt_json_parse(&root, "slt.training", config->training, strlen(config->training), err);
    if (rc == 0)
        rc = set_all(&all, root, is_given, err);
    // What has no say beside the others, since the command line has another optimizer or schedule,
    // is not recommended.
    json_object_foreach (root, key, value) {
        const struct slt_train_option *f = rc == 0 ? slt_train_option_of_key(key) : NULL;
        if (f == NULL || is_given(f->name) || (f->owner != NULL && !f->has_say(&all)))
            continue;
        set_value(options, f, value);
        tell(text, size, f, value);
    }
    json_decref(root);
    return rc;
}
