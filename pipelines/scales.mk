# What table1.mk, table2.mk and figure2.mk train at each SCALE: steps, batch and layout, the paper's from 60m on; below, what
# takes minutes on 2 cores. Rank, density and alpha stand in no pipeline: they are those of the programs' presets.
#
# Inputs:   SCALE, a preset; OUT, where the tokenizer is; BIN, the programs.
# Outputs:  TOKENIZER, DATA and EVAL, options of slt-tokenize, slt-train and slt-eval; SHORT, not empty below 60m;
#           $(call preset,NAME), what `slt-init --preset SCALE --dry-run` has beside NAME.

# A preset's name in upper or lower case, as in the programs.
override SCALE := $(shell printf %s '$(SCALE)' | tr '[:upper:]' '[:lower:]')

SHORT_SCALES := nano 9m 20m 35m
PAPER_SCALES := 60m 130m 350m 1b 7b
ifeq ($(filter $(SCALE),$(SHORT_SCALES) $(PAPER_SCALES)),)
$(error SCALE is one of $(SHORT_SCALES) $(PAPER_SCALES), not '$(SCALE)')
endif

SHORT := $(filter $(SCALE),$(SHORT_SCALES))
ifneq ($(SHORT),)
TOKENIZER = --train-tokenizer $(OUT)/spm.model --vocab-size 4096
DATA := --steps 600 --warmup 60 --batch 32 --seq 128
EVAL := --seq 128 --batch 32 --limit 500K
else
# T5's tokenizer must lie at OUT/spm.model; documents are truncated or padded to 256 tokens, 512 a step, and weights and
# moments are bfloat16, as the authors have them.
TOKENIZER = --tokenizer $(OUT)/spm.model
STEPS_60m := --steps 11000 --warmup 1100
STEPS_130m := --steps 22000 --warmup 2200
STEPS_350m := --steps 65000 --warmup 6500
STEPS_1b := --steps 140000 --warmup 10000
STEPS_7b := --steps 150000 --warmup 15000 --optimizer adam8bit --clip 1.0
DATA := $(STEPS_$(SCALE)) --batch 512 --seq 256 --layout document --precision bf16
EVAL := --seq 256 --batch 32 --layout document --limit 10M
endif

preset = $(or $(shell $(BIN)/slt-init --preset $(SCALE) --dry-run | awk -F '\t' '$$1 == "$(1)" { print $$2 }'),$(error \
	$(BIN)/slt-init does not say the $(1) of '$(SCALE)': BIN is the folder of the programs))
