// Architectures: what a model and each of its layers consist of, in the order of files. One is a
// row here (tensors and shapes) and one, of how it computes, in model/model.c.
//
// A *group* is the linears that share an input. Groups and norms are known by identity, names are
// only for files.
#ifndef SLT_CONFIG_ARCHITECTURE_H
#define SLT_CONFIG_ARCHITECTURE_H

#include "slt/config.h"

#define SLT_GROUP_MEMBERS 3 // the most linears that share an input: q, k, v

// A group's linears share in and have out[0..members-1] outputs.
struct slt_group_shape {
    int members;
    int64_t in;
    int64_t out[SLT_GROUP_MEMBERS];
};

// One norm or group of a layer.
struct slt_layer_item {
    enum slt_role role; // SLT_ROLE_NORM, or SLT_ROLE_WEIGHT of a group
    int32_t which;      // enum slt_norm_kind or enum slt_group_kind
    const char *name[SLT_GROUP_MEMBERS]; // below the layer, without ".weight"
};

struct slt_architecture {
    const char *model_type, *class_name;     // config.json's model_type and architectures
    const char *embedding, *norm, *head;     // tensors outside the layers
    const char *layer;                       // what layers are called, before ".<number>."
    struct slt_layer_item item[SLT_NORM_FINAL + SLT_GROUP_KINDS];
    int items; // of a layer
};

// The architecture that config.json's model_type names; false if there is none.
bool slt_architecture_find(enum slt_architecture_id *id, const char *model_type);
const struct slt_architecture *slt_architecture(const struct slt_config *config);
struct slt_group_shape slt_group_shape(const struct slt_config *config, int32_t group);

#endif
