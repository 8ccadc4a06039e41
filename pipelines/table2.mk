# The paper's Table 2: every method at equal tokens, on text of your own, at a scale of your own.
#
# Inputs:   CORPUS='FILES' to train on and VALID='FILES' to validate on: text, JSON lines or archives that slt-tokenize
#           reads (C4's own shards, for the paper's run).
# Outputs:  OUT/table2.tsv: a row for each method: mean and deviation of the validation perplexity over SEEDS, parameters,
#           planned bytes of weights and state and in all, the peak of the process, tokens/s. `make ... grid` writes OUT/grid.tsv, the learning rates
#           that LR_<row> below were chosen by, with one seed.
# Duration: SCALE=nano takes an hour and a half on 2 cores, with its grid two and a half; ROWS='full sltrain' makes fewer. A stopped run goes on where it was.
#
# Machines: LAUNCH='mpirun -n 8' or 'srun --mpi=pmix' trains each model by several processes (pipelines/slurm/table2.sbatch);
#           -j 8 LAUNCH=pipelines/one-gpu trains eight at once, each on a GPU of its own.
#
# usage: make -f pipelines/table2.mk BIN=build OUT=build/table2 CORPUS='train/*.json.gz' VALID=valid.json.gz \
#            [SCALE=nano|...|60m|...|7b] [SEEDS='1 2 3'] [RANK=N] [DENSITY=X] [ALPHA=X] [grid]

BIN ?= build
SCALE ?= nano
OUT ?= build/table2-$(SCALE)
SEEDS ?= 1 2 3
LAUNCH ?=
CORPUS ?=
VALID ?=
# Those of the preset, unless they are given.
RANK :=
DENSITY :=
ALPHA :=

ROWS ?= full lowrank relora galore sltrain full8 galore8 sltrain8

include pipelines/scales.mk

# ---- Rows ----
ifneq ($(SHORT),)
RELORA_EVERY := 200
RELORA_WARMUP := 20
GALORE_GAP := 100
else
RELORA_EVERY := 5000
RELORA_WARMUP := 500
GALORE_GAP := $(if $(filter 7b,$(SCALE)),500,200)
endif
GALORE_RANK := $(or $(RANK),$(call preset,rank))

FACTORS := $(if $(RANK),--rank $(RANK)) $(if $(ALPHA),--alpha $(ALPHA))
INIT_full := --method full
INIT_lowrank := --method lowrank $(FACTORS)
INIT_relora := --method relora $(FACTORS)
INIT_galore := --method full
INIT_sltrain := --method sltrain $(FACTORS) $(if $(DENSITY),--density $(DENSITY))
TRAIN_relora := --schedule jagged --relora-every $(RELORA_EVERY) --relora-warmup $(RELORA_WARMUP)
TRAIN_galore := --optimizer $(if $(filter 7b,$(SCALE)),galore8bit,galore) --galore-rank $(GALORE_RANK) \
	--galore-gap $(GALORE_GAP)
# The same with 8-bit moments and updates at every layer.
INIT_full8 := $(INIT_full)
INIT_galore8 := $(INIT_galore)
INIT_sltrain8 := $(INIT_sltrain)
TRAIN_full8 := --optimizer adam8bit --per-layer
TRAIN_galore8 := $(TRAIN_galore) --optimizer galore8bit --per-layer
TRAIN_sltrain8 := --optimizer adam8bit --per-layer

# Peak learning rates: the best of the grid at nano, the paper's elsewhere; and grids of factors of two around them.
ifneq ($(SHORT),)
LR_full ?= 2e-3
LR_lowrank ?= 4e-3
LR_sltrain ?= 8e-3
LR_relora ?= 4e-3
LR_galore ?= 2e-2
# At the edge of what is stable 8-bit moments go over it: one step of the grid below.
LR_sltrain8 ?= 4e-3
GRID_full ?= 1e-3 2e-3 4e-3
GRID_lowrank ?= 2e-3 4e-3 8e-3
GRID_sltrain ?= 4e-3 8e-3 1.6e-2
GRID_relora ?= 2e-3 4e-3 8e-3
GRID_galore ?= 1e-2 2e-2 4e-2
else
LR_full ?= 1e-3
LR_lowrank ?= 1e-3
LR_sltrain ?= 3e-3
LR_relora ?= 1e-3
LR_galore ?= $(if $(filter 7b,$(SCALE)),5e-3,1e-2)
LR_sltrain8 ?= $(LR_sltrain)
GRID_full ?= 5e-4 1e-3 2e-3
GRID_lowrank ?= 5e-4 1e-3 2e-3
GRID_sltrain ?= 1.5e-3 3e-3 6e-3
GRID_relora ?= 5e-4 1e-3 2e-3
GRID_galore ?= 5e-3 1e-2 2e-2
endif
LR_full8 ?= $(LR_full)
LR_galore8 ?= $(LR_galore)

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
	$(BIN)/slt-init --preset $(SCALE) --tokenizer $(OUT)/spm.model $(INIT_$(1)) --seed $(3) -o $$@

$(OUT)/$(1)-$(2)-$(3).slt: $(OUT)/$(1)-$(2)-$(3)-init.slt
	$(LAUNCH) $(BIN)/slt-train --data $(OUT)/train.tok $(DATA) $(TRAIN_$(1)) --lr $(2) --seed $(3) \
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
