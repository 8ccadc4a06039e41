// Names and limits of a checkpoint's members, shared by its reader and its writer
// (slt-checkpoint(5)).
#ifndef SLT_FILES_CHECKPOINT_MEMBERS_H
#define SLT_FILES_CHECKPOINT_MEMBERS_H

#define SLT_MEMBER_CONFIG          "config.json"
#define SLT_MEMBER_TOKENIZER_MODEL "tokenizer.model"
#define SLT_MEMBER_TOKENIZER_JSON  "tokenizer.json"
#define SLT_MEMBER_MODEL           "model.safetensors"
#define SLT_MEMBER_TRAINER         "trainer.json"
#define SLT_MEMBER_OPTIMIZER       "optimizer.safetensors"
#define SLT_MEMBER_PROVENANCE      "provenance.jsonl"

#define SLT_CONFIG_MAX     ((uint64_t)1 << 20)
#define SLT_TOKENIZER_MAX  ((uint64_t)64 << 20)
#define SLT_TRAINER_MAX    ((uint64_t)64 << 20)
#define SLT_PROVENANCE_MAX ((uint64_t)16 << 20)

#endif
