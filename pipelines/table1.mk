# The paper's Table 1: is a random support as good as the top one, once its values are trained? A full-rank model is
# trained; of each of its matrices the best part L0 of rank r is kept, alone, with 3% (DENSITY) of the residual as it is
# (top or at random: pruning), and with the same 3% trained on while all else is frozen.
#
# Inputs:   CORPUS='FILES' to train on and VALID='FILES' to validate on, as for table2.mk.
# Outputs:  OUT/table1.tsv: a row for each of the six models: mean and deviation of the validation perplexity over SEEDS,
#           parameters.
# Duration: SCALE=nano takes 15 minutes on 2 cores. A stopped run goes on where it was.
#
# usage: make -f pipelines/table1.mk BIN=build OUT=build/table1 CORPUS='train/*.json.gz' VALID=valid.json.gz \
#            [SCALE=nano|...|60m|...] [SEEDS='1 2 3'] [RANK=N] [DENSITY=X]

BIN ?= build
SCALE ?= nano
OUT ?= build/table1-$(SCALE)
SEEDS ?= 1 2 3
CORPUS ?=
VALID ?=

# Those of the preset, unless they are given.
RANK :=
DENSITY :=

include pipelines/scales.mk

# A model to start from brings no preset.
RANK := $(or $(RANK),$(call preset,rank))
DENSITY := $(or $(DENSITY),$(call preset,density))
LR := $(if $(SHORT),2e-3,1e-3)
SPARSE_LR := $(if $(SHORT),2e-3,3e-3)

ROWS := full L0 L0-top-pruned L0-random-pruned L0-top-trained L0-random-trained
FROM_L0 := --method lowrank --rank $(RANK)
FROM_L0-top-pruned := --rank $(RANK) --density $(DENSITY) --support top
FROM_L0-random-pruned := --rank $(RANK) --density $(DENSITY) --support random

.DELETE_ON_ERROR:
.PHONY: all
all: $(OUT)/table1.tsv
	@column -t -s "$$(printf '\t')" $< 2>/dev/null || cat $<

$(OUT)/train.tok: $(CORPUS)
	@[ -n '$(CORPUS)' ] && [ -n '$(VALID)' ] || { echo "table1.mk: CORPUS and VALID name the text" >&2; exit 2; }
	@mkdir -p $(OUT)
	$(BIN)/slt-tokenize $(TOKENIZER) --seed 1 -o $@ $(CORPUS)

$(OUT)/valid.tok: $(OUT)/train.tok $(VALID)
	$(BIN)/slt-tokenize --tokenizer $(OUT)/spm.model -o $@ $(VALID)

# TRAIN target start lr options
define TRAIN
$(1): $(2)
	$(BIN)/slt-train --data $(OUT)/train.tok $(DATA) --lr $(3) $(4) --checkpoint $(basename $(1)) \
		--checkpoint-every 10m --keep 1 --resume --metrics $(basename $(1)).jsonl -o $$@ $$<
	@rm -f $(basename $(1))-[0-9]*.slt
endef

# FROM row seed: a decomposition of the full-rank model.
define FROM
$(OUT)/$(1)-$(2).slt: $(OUT)/full-$(2).slt
	$(BIN)/slt-init --from $$< $(FROM_$(1)) --seed $(2) -o $$@
endef

define SEED
$(OUT)/new-$(1).slt: $(OUT)/train.tok
	$(BIN)/slt-init --preset $(SCALE) --method full --tokenizer $(OUT)/spm.model --seed $(1) -o $$@
$(call TRAIN,$(OUT)/full-$(1).slt,$(OUT)/new-$(1).slt,$(LR),--seed $(1))
$(call FROM,L0,$(1))
$(call FROM,L0-top-pruned,$(1))
$(call FROM,L0-random-pruned,$(1))
$(foreach s,top random,
$(call TRAIN,$(OUT)/L0-$(s)-trained-$(1).slt,$(OUT)/L0-$(s)-pruned-$(1).slt,$(SPARSE_LR),--train-only sparse --seed $(1)))
endef
$(foreach s,$(SEEDS),$(eval $(call SEED,$(s))))

$(OUT)/%.eval: $(OUT)/%.slt $(OUT)/valid.tok
	$(BIN)/slt-eval $(EVAL) --data $(OUT)/valid.tok $< >$@

RUNS := $(foreach r,$(ROWS),$(foreach s,$(SEEDS),$(OUT)/$(r)-$(s).eval))
$(OUT)/table1.tsv: $(RUNS)
	@for run in $(basename $(RUNS)); do \
		row=$$(basename "$${run%-*}"); \
		parameters=$$($(BIN)/slt-train --dry-run --data $(OUT)/train.tok --steps 1 "$$run.slt" | \
			awk -F '\t' '$$1 == "parameters" { print $$2 }'); \
		printf '%s %s\t%s\n' "$$row" "$$parameters" "$$(awk -F '\t' '$$1 == "perplexity" { print $$2 }' "$$run.eval")"; \
	done | pipelines/seed-means | awk -F '\t' -v OFS='\t' 'BEGIN { print "model", "seeds", "perplexity", "deviation", "parameters" } \
		{ split($$1, key, " "); print key[1], $$2, $$3, $$4, key[2] }' >$@
