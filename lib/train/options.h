// The options of training inside the library: resolved, checked, recorded.
#ifndef SLT_TRAIN_OPTIONS_H
#define SLT_TRAIN_OPTIONS_H

#include <jansson.h>

#include "model/model.h"
#include "slt/train.h"

// Chooses what options leave open (micro_batch, eps, relora_prune_fraction) and checks all of them;
// SLT_ERR_RANGE names the one that is wrong. The optimizer's name is checked by its table.
int slt_train_resolve(struct slt_train_options *options, struct slt_error *err);
// All options that change numbers, by their names on the command line with underscores. recompute
// is not among them.
json_t *slt_train_options_object(const struct slt_train_options *options);

// Bits 1 << role of what train_only names; 0: everything.
unsigned slt_trained_roles(const char *train_only);
enum slt_route slt_route_parse(const char *name);         // SLT_ROUTE_AUTO for other names
enum slt_recompute slt_recompute_parse(const char *name); // SLT_RECOMPUTE_NONE for other names

#endif
