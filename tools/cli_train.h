// The options of training that decide memory and arithmetic: shared by the program that trains and
// the one that plans.
#ifndef SLT_TOOLS_CLI_TRAIN_H
#define SLT_TOOLS_CLI_TRAIN_H

#include "cli.h"
#include "slt/train.h"

// t: struct slt_train_options *.
#define CLI_TRAIN(t)                                                                                 \
    {"optimizer", 0, CLI_WORD,           &(t)->optimizer, "adamw|adam8bit|galore|galore8bit",        \
     0,           0, "optimizer (adamw)"},                                                           \
        {"adam-block", 0, CLI_WHOLE, &(t)->adam_block,                                               \
         "N",          1, 2048,      "elements that share a maximum in 8-bit moments (256)"},        \
        {"galore-rank", 0, CLI_WHOLE, &(t)->galore_rank,                                             \
         "N",           1, 1 << 24,   "rank of projected gradients (a quarter of the hidden size)"}, \
        {"batch", 'b', CLI_WHOLE, &(t)->batch, "N", 1, 1 << 24, "sequences per step (32)"},          \
        {"micro-batch", 0, CLI_WHOLE, &(t)->micro_batch,                                             \
         "N",           1, 1 << 24,   "sequences at once (as many as make 4096 tokens)"},            \
        {"seq", 0, CLI_WHOLE, &(t)->seq, "N", 2, 1 << 20, "tokens of a sequence (256)"},             \
        {"route",                                                                                    \
         0,                                                                                          \
         CLI_WORD,                                                                                   \
         &(t)->route,                                                                                \
         "auto|dense|factored",                                                                      \
         0,                                                                                          \
         0,                                                                                          \
         "how sparse plus low-rank layers are computed (auto)"},                                     \
        {"precision",                                                                                \
         0,                                                                                          \
         CLI_WORD,                                                                                   \
         &(t)->precision,                                                                            \
         "f32|bf16|bf16-sr|bf16-master",                                                             \
         0,                                                                                          \
         0,                                                                                          \
         "how weights and moments are stored (f32)"},                                                \
        {"per-layer", 0,                                                                             \
         CLI_FLAG,    &(t)->per_layer,                                                               \
         NULL,        0,                                                                             \
         0,           "update each group of weights as soon as its gradient is complete"},           \
    {                                                                                                \
        "recompute", 0, CLI_WORD, &(t)->recompute, "none|cheap|block", 0, 0,                         \
            "work activations out again in the backward pass (none)"                                 \
    }

#endif
