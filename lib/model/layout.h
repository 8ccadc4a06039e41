// The steps of laying out a model, between the files that do them.
#ifndef SLT_MODEL_LAYOUT_H
#define SLT_MODEL_LAYOUT_H

#include "model/model.h"

// Parts, groups with their routes for micro-batches of so many tokens, and the places of the
// parameters in the parts (model_parts.c).
void slt_model_layout_parts(struct slt_model *model, int64_t tokens);

// Views of the activations region (model_layout.c).
struct slt_act slt_model_act(struct slt_model *model, int64_t tokens, int64_t features);
struct slt_tensor slt_model_kept(struct slt_model *model, enum slt_dtype dtype, int64_t rows,
                                 int64_t cols);

// What comes from no file (model_values.c): draws the supports, whose CRC must be the
// configuration's, and writes them to the device; writes the table of rotations.
int slt_model_draw_supports(struct slt_model *model, struct slt_error *err) SLT_CHECK_RESULT;
int slt_model_write_rope(struct slt_model *model, struct slt_error *err) SLT_CHECK_RESULT;

#endif
