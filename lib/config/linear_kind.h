// The kinds of linears as configurations and files know them: which tensors each
// has and how a new model's values start. A kind is one row here and one, of how it computes, in
// model/linear.h.
#ifndef SLT_CONFIG_LINEAR_KIND_H
#define SLT_CONFIG_LINEAR_KIND_H

#include "slt/config.h"

#define SLT_KIND_TENSORS 5 // the most tensors of a linear

// How the values of a new model are drawn.
enum slt_start {
    SLT_START_NORMAL,  // normal(0, initializer_range)
    SLT_START_UNIFORM, // uniform(+-1/sqrt(fan in)), which is Kaiming's bound with a = sqrt(5)
    SLT_START_B,       // of B: zeros with lora_b_zero, else as above
    SLT_START_ZERO,
    SLT_START_ONE,
};

// One tensor of a linear; its suffix and shape follow from its role.
struct slt_kind_tensor {
    enum slt_role role;
    bool frozen;
    enum slt_start start;
};

struct slt_kind_info {
    struct slt_kind_tensor tensor[SLT_KIND_TENSORS]; // in the order of files
    int tensors;
};

const struct slt_kind_info *slt_kind_info(enum slt_method method);
// The tensor of this role, or NULL where the kind has none.
const struct slt_kind_tensor *slt_kind_tensor(enum slt_method method, enum slt_role role);
// The kind with exactly these roles (bits 1 << role; positions are not looked at); false if there
// is none.
bool slt_kind_of_roles(enum slt_method *method, unsigned roles);

#endif
