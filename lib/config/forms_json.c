// Linears that differ by layer in config.json: the list "layers" of its "slt" object.
#include <stdio.h>
#include <string.h>

#include "config/forms.h"

// An element of the list, for sentences.
struct element {
    const char *file;
    size_t index;
    const json_t *object;
    struct slt_error *err;
};

static int bad(const struct element *e, const char *key, const char *what)
{
    return slt_error_set(e->err, SLT_ERR_FORMAT, "'%s': \"slt.layers[%zu]%s%s\" %s", e->file,
                         e->index, *key != '\0' ? "." : "", key, what);
}

static int read_range(const struct element *e, struct slt_layers *l)
{
    const json_t *range = json_object_get(e->object, "layers");
    const json_t *first = json_array_get(range, 0), *last = json_array_get(range, 1);
    if (json_array_size(range) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return bad(e, "layers", "is missing or no list of two whole numbers");
    l->first = json_integer_value(first);
    l->last = json_integer_value(last);
    return 0;
}

// Without the key all groups.
static int read_groups(const struct element *e, struct slt_layers *l)
{
    const json_t *list = json_object_get(e->object, "groups"), *name;
    size_t i;
    l->groups = list == NULL ? (1u << SLT_GROUP_KINDS) - 1 : 0;
    if (list != NULL && json_array_size(list) == 0)
        return bad(e, "groups", "is no list of groups");
    json_array_foreach (list, i, name) {
        enum slt_group_kind group;
        const char *text = json_is_string(name) ? json_string_value(name) : "";
        if (!slt_group_find(&group, text, strlen(text)))
            return bad(e, "groups", "has another group than qkv, o, gate_up and down");
        if (l->groups >> group & 1)
            return bad(e, "groups", "has a group twice");
        l->groups |= 1u << group;
    }
    return 0;
}

static int read_settings(const struct element *e, struct slt_layers *l)
{
    const json_t *method = json_object_get(e->object, "method");
    const json_t *rank = json_object_get(e->object, "rank");
    const json_t *density = json_object_get(e->object, "density");
    if (method != NULL && (!json_is_string(method) || strcmp(json_string_value(method), "full")))
        return bad(e, "method", "is not \"full\", the only one that layers may have");
    if (rank != NULL && (!json_is_integer(rank) || json_integer_value(rank) < 1))
        return bad(e, "rank", "is no whole number from 1 on");
    if (density != NULL && !(json_is_number(density) && json_number_value(density) > 0))
        return bad(e, "density", "is no number above 0");
    if (method == NULL && rank == NULL && density == NULL)
        return bad(e, "", "has neither method, rank nor density");
    l->full = method != NULL;
    l->rank = json_integer_value(rank);
    l->density = json_number_value(density);
    return 0;
}

static int read_element(const struct element *e, struct slt_layers *l)
{
    static const char *const keys[] = {"layers", "groups", "method", "rank", "density"};
    const char *key;
    json_t *value;
    int rc;
    if (!json_is_object(e->object))
        return bad(e, "", "is no object");
    json_object_foreach ((json_t *)e->object, key, value) {
        bool known = false;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            known |= strcmp(key, keys[i]) == 0;
        if (!known)
            return bad(e, key, "is not known");
    }
    if ((rc = read_range(e, l)) != 0 || (rc = read_groups(e, l)) != 0)
        return rc;
    return read_settings(e, l);
}

int slt_layers_read(struct slt_config *c, const char *name, const json_t *list,
                    struct slt_error *err)
{
    const json_t *object;
    size_t i;
    int rc;
    if (list == NULL)
        return 0;
    if (!json_is_array(list) || json_array_size(list) > SLT_LAYERS_LIMIT)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': \"slt.layers\" is no list of at most %d",
                             name, SLT_LAYERS_LIMIT);
    json_array_foreach (list, i, object) {
        const struct element e = {name, i, object, err};
        if ((rc = read_element(&e, &c->layers[i])) != 0)
            return rc;
    }
    c->layers_count = (int64_t)json_array_size(list);
    return 0;
}

json_t *slt_layers_list(const struct slt_config *c)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < c->layers_count; i++) {
        const struct slt_layers *l = &c->layers[i];
        json_t *o = json_object(), *range = json_array(), *groups = json_array();
        json_array_append_new(range, json_integer(l->first));
        json_array_append_new(range, json_integer(l->last));
        for (int k = 0; k < SLT_GROUP_KINDS; k++)
            if (l->groups >> k & 1)
                json_array_append_new(groups, json_string(slt_group_name((enum slt_group_kind)k)));
        json_object_set_new(o, "layers", range);
        json_object_set_new(o, "groups", groups);
        if (l->full)
            json_object_set_new(o, "method", json_string("full"));
        if (l->rank > 0)
            json_object_set_new(o, "rank", json_integer(l->rank));
        if (l->density > 0)
            json_object_set_new(o, "density", json_real(l->density));
        json_array_append_new(list, o);
    }
    return list;
}
