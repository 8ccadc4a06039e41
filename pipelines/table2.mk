# The paper's Table 2: every method at equal tokens, on text of your own, at a scale of your own.
#
# Inputs:   CORPUS='FILES' to train on and VALID='FILES' to validate on: text, JSON lines or archives that slt-tokenize
#           reads (C4's own shards, for the paper's run).
# Outputs:  OUT/table2.tsv: a row for each method: mean and deviation of the validation perplexity over SEEDS, parameters,
#           planned bytes of weights and state and in all, the peak of the process, tokens/s. `make ... grid` writes OUT/grid.tsv, the learning rates
#           that LR_<row> below were chosen by, with one seed.
# Duration: SCALE=nano takes an hour and a half on 2 cores, with its grid two and a half; ROWS='full sltrain' makes fewer. A stopped run goes on where it was.
#
# usage: make -f pipelines/table2.mk BIN=build OUT=build/table2 CORPUS='train/*.json.gz' VALID=valid.json.gz \
#            [SCALE=nano|60m|130m|350m|1b] [SEEDS='1 2 3'] [grid]

BIN ?= build
SCALE ?= nano
OUT ?= build/table2-$(SCALE)
SEEDS ?= 1 2 3
CORPUS ?=
VALID ?=

ROWS ?= full lowrank relora galore sltrain full8 galore8 sltrain8

# ---- Scales: vocabulary, tokens, and the options of PAPER's Table 2 ----
ifeq ($(SCALE),nano)
TOKENIZER := --train-tokenizer $(OUT)/spm.model --vocab-size 4096
SHAPE := --preset nano
DATA := --steps 600 --warmup 60 --batch 32 --seq 128
EVAL := --seq 128 --batch 32 --limit 500K
RANK := 32
ALPHA := 8
RELORA_EVERY := 200
RELORA_WARMUP := 20
GALORE_GAP := 100
DENSITY := 0.03
else
# T5's tokenizer must lie at OUT/spm.model; documents are truncated or padded to 256 tokens, 512 a step.
TOKENIZER := --tokenizer $(OUT)/spm.model
SHAPE := --preset $(SCALE)
STEPS_60m := --steps 11000 --warmup 1100
STEPS_130m := --steps 22000 --warmup 2200
STEPS_350m := --steps 65000 --warmup 6500
STEPS_1b := --steps 140000 --warmup 10000
DATA := $(STEPS_$(SCALE)) --batch 512 --seq 256 --layout document
EVAL := --seq 256 --batch 32 --layout document --limit 10M
RANK := $(or $(RANK_$(SCALE)),256)
RANK_60m := 128
RANK_1b := 512
ALPHA := $(or $(ALPHA_$(SCALE)),16)
ALPHA_60m := 32
ALPHA_1b := 8
DENSITY := 0.03
RELORA_EVERY := 5000
RELORA_WARMUP := 500
GALORE_GAP := 200
endif

# ---- Rows ----
INIT_full := --method full
INIT_lowrank := --method lowrank --rank $(RANK) --alpha $(ALPHA)
INIT_relora := --method relora --rank $(RANK) --alpha $(ALPHA)
INIT_galore := --method full
INIT_sltrain := --method sltrain --rank $(RANK) --alpha $(ALPHA) --density $(DENSITY)
TRAIN_relora := --schedule jagged --relora-every $(RELORA_EVERY) --relora-warmup $(RELORA_WARMUP)
TRAIN_galore := --optimizer galore --galore-rank $(RANK) --galore-gap $(GALORE_GAP)
# The same with 8-bit moments and updates at every layer.
INIT_full8 := $(INIT_full)
INIT_galore8 := $(INIT_galore)
INIT_sltrain8 := $(INIT_sltrain)
TRAIN_full8 := --optimizer adam8bit --per-layer
TRAIN_galore8 := $(TRAIN_galore) --optimizer galore8bit --per-layer
TRAIN_sltrain8 := --optimizer adam8bit --per-layer

# Peak learning rates: the best of the grid at nano, the paper's elsewhere.
ifeq ($(SCALE),nano)
LR_full ?= 2e-3
LR_lowrank ?= 4e-3
LR_sltrain ?= 8e-3
LR_relora ?= 4e-3
LR_galore ?= 2e-2
else
LR_full ?= 1e-3
LR_lowrank ?= 1e-3
LR_sltrain ?= 3e-3
LR_relora ?= 1e-3
LR_galore ?= 1e-2
endif
LR_full8 ?= $(LR_full)
LR_galore8 ?= $(LR_galore)
# At the edge of what is stable 8-bit moments go over it: one step of the grid below.
LR_sltrain8 ?= $(if $(filter nano,$(SCALE)),4e-3,$(LR_sltrain))
# Grids of factors of two around the best.
GRID_full ?= 1e-3 2e-3 4e-3
GRID_lowrank ?= 2e-3 4e-3 8e-3
GRID_sltrain ?= 4e-3 8e-3 1.6e-2
GRID_relora ?= 2e-3 4e-3 8e-3
GRID_galore ?= 1e-2 2e-2 4e-2

# ---- Rules ----
.DELETE_ON_ERROR:
.PHONY: all grid
all: $(OUT)/table2.tsv
	@column -t -s "$$(printf '\t')" $< 2>/dev/null || cat $<
grid: $(OUT)/grid.tsv
	@column -t -s "$$(printf '\t')" $< 2>/dev/null || cat $<

$(OUT)/train.tok: $(CORPUS)
	@[ -n '$(CORPUS)' ] && [ -n '$(VALID)' ] || { echo "table2.mk: CORPUS and VALID name the text" >&2; exit 2; }
	@mkdir -p $(OUT)
	$(BIN)/slt-tokenize $(TOKENIZER) --seed 1 -o $@ $(CORPUS)

$(OUT)/valid.tok: $(OUT)/train.tok $(VALID)
	$(BIN)/slt-tokenize --tokenizer $(OUT)/spm.model -o $@ $(VALID)

# RUN row lr seed: OUT/row-lr-seed.slt and its evaluation.
define RUN
$(OUT)/$(1)-$(2)-$(3)-init.slt: $(OUT)/train.tok
	$(BIN)/slt-init $(SHAPE) --tokenizer $(OUT)/spm.model $(INIT_$(1)) --seed $(3) -o $$@

$(OUT)/$(1)-$(2)-$(3).slt: $(OUT)/$(1)-$(2)-$(3)-init.slt
	$(BIN)/slt-train --data $(OUT)/train.tok $(DATA) $(TRAIN_$(1)) --lr $(2) --seed $(3) \
		--checkpoint $(OUT)/$(1)-$(2)-$(3) --checkpoint-every 10m --keep 1 --resume \
		--metrics $(OUT)/$(1)-$(2)-$(3).jsonl -o $$@ $$<
	@rm -f $(OUT)/$(1)-$(2)-$(3)-[0-9]*.slt
	@$(BIN)/slt-train --dry-run --data $(OUT)/train.tok $(DATA) $(TRAIN_$(1)) $$@ >$(OUT)/$(1)-$(2)-$(3).plan

$(OUT)/$(1)-$(2)-$(3).eval: $(OUT)/$(1)-$(2)-$(3).slt $(OUT)/valid.tok
	$(BIN)/slt-eval --protocol galore $(EVAL) --data $(OUT)/valid.tok $$< >$$@
endef
LRS = $(sort $(GRID_$(1)) $(LR_$(1)))
$(foreach r,$(ROWS),$(foreach l,$(call LRS,$(r)),$(foreach s,$(sort 1 $(SEEDS)),$(eval $(call RUN,$(r),$(l),$(s))))))

RUNS := $(foreach r,$(ROWS),$(foreach s,$(SEEDS),$(OUT)/$(r)-$(LR_$(r))-$(s)))
GRID_RUNS := $(foreach r,$(ROWS),$(foreach l,$(GRID_$(r)),$(OUT)/$(r)-$(l)-1))

$(OUT)/table2.tsv: $(RUNS:=.eval)
	@pipelines/method-table $(RUNS) >$@

$(OUT)/grid.tsv: $(GRID_RUNS:=.eval)
	@pipelines/method-table $(GRID_RUNS) >$@
