// Linears that differ by layer, inside of the library.
#ifndef SLT_CONFIG_FORMS_H
#define SLT_CONFIG_FORMS_H

#include <jansson.h>

#include "slt/config.h"

// The largest rank that linears may have: the smallest size of the layers.
int64_t slt_largest_rank(const struct slt_config *config);
// Checks a configuration's layers, the rest of which is good; the sentence names the element, and
// the linear that is in two of them. SLT_ERR_RANGE.
int slt_layers_check(const struct slt_config *config, struct slt_error *err) SLT_CHECK_RESULT;
// The group of this name; false if there is none.
bool slt_group_find(enum slt_group_kind *group, const char *name, size_t length);

// Reads the list "layers" of config.json's "slt" object (list, NULL: there is none). name is the
// file's, for sentences. SLT_ERR_FORMAT.
int slt_layers_read(struct slt_config *config, const char *name, const json_t *list,
                    struct slt_error *err) SLT_CHECK_RESULT;
// The same list; the caller owns it.
json_t *slt_layers_list(const struct slt_config *config);

#endif
