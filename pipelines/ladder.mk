# The methods on a ladder of sizes, each at 20 tokens for a parameter of its full-rank linears: how far is a model from the
# full-rank one, does that grow with size, and what changes it?
#
# Inputs:   CORPUS='FILES' to train on and VALID='FILES' to validate on, as for table2.mk. 13 M tokens last for sizes to 2m
#           (3 passes); 9m wants 45 M at least.
# Outputs:  OUT/ladder.tsv: a row for each size and method: mean and deviation of the validation perplexity over SEEDS, the
#           gap to full-rank with its 95% interval, parameters, passes over the text; OUT/fit.tsv: the gap against size, and
#           what that says of the paper's sizes; OUT/ladder.svg, the picture of both. `make ... grid` writes OUT/grid.tsv, the learning rates that LR_<row>
#           below were chosen by: one seed, at the two smallest sizes.
# Duration: a run of 0.2m takes a minute on one core, of 0.5m five, of 1m fifteen, of 2m three quarters of an hour; make -j
#           runs as many at once as there are cores. A stopped run goes on where it was.
#
# usage: make -j2 -f pipelines/ladder.mk BIN=build OUT=build/ladder CORPUS='train/*.json.gz' VALID=valid.json.gz \
#            [SIZES='0.2m 0.5m 1m 2m'] [ROWS='full sltrain'] [SEEDS='1 2 3'] [grid]

BIN ?= build
OUT ?= build/ladder
SIZES ?= 0.2m 0.5m 1m 2m
SEEDS ?= 1 2 3
CORPUS ?=
VALID ?=
ROWS ?= full muon galore lowrank sltrain sltrainmuon spectral half halfadam
GRID_SIZES ?= 0.2m 0.5m

# ---- Sizes: hidden, intermediate, heads, layers; steps of 4096 tokens that make 20 for each weight of the linears ----
SHAPE_0.2m := 64 176 2 4
SHAPE_0.5m := 96 256 3 5
SHAPE_1m := 128 352 4 5
SHAPE_2m := 160 432 5 6
SHAPE_9m := 288 768 9 9
STEPS_0.2m := 980
STEPS_0.5m := 2700
STEPS_1m := 4900
STEPS_2m := 9076
STEPS_9m := 43740

# ---- Rows ----
# Baselines; the published method, and with another step; half of the linears' weights with both steps and other starts.
INIT_full := --method full
INIT_muon := --method full
INIT_galore := --method full
INIT_lowrank := --method lowrank
INIT_sltrain := --method sltrain
INIT_sltrainmuon := --method sltrain
INIT_spectral := --method sltrain
HALF := --method sltrain --budget 0.5 --density
INIT_half := $(HALF) 0.1
INIT_halfadam := $(INIT_half)
INIT_orthogonal := $(HALF) 0.1 --start orthogonal
INIT_svd := $(HALF) 0.1 --start svd
INIT_dense1 := $(INIT_half) --dense-layers first
# Half of the weights, more and less of them in S; other supports.
INIT_d005 := $(HALF) 0.005
INIT_d030 := $(HALF) 0.03
INIT_d200 := $(HALF) 0.2
INIT_d300 := $(HALF) 0.3
INIT_d400 := $(HALF) 0.4
INIT_rows := $(INIT_half) --support rows
INIT_channels := $(INIT_half) --support channels
INIT_block1 := $(INIT_half) --support block:16x1
INIT_block16 := $(INIT_half) --support block:16x16

TRAIN_galore := --optimizer galore
TRAIN_muon := --optimizer muon --lr 1.6e-2
TRAIN_spectral := --optimizer spectral --lr 8e-3
OF_MUON := sltrainmuon half orthogonal svd dense1 d005 d030 d200 d300 d400 rows channels block1 block16
$(foreach r,$(OF_MUON),$(eval TRAIN_$(r) := --optimizer muon --lr 8e-3))
# The rate that is tuned where it is not --lr.
$(foreach r,muon spectral $(OF_MUON),$(eval RATE_$(r) := spectral-lr))

# Peak learning rates: the best of the grid at the two smallest sizes together, the same at every size.
LR_full ?= 4e-3
LR_galore ?= 2e-2
LR_lowrank ?= 8e-3
LR_sltrain ?= 8e-3
LR_halfadam ?= 8e-3
$(foreach r,muon spectral $(OF_MUON),$(eval LR_$(r) ?= 2e-2))
GRID_full ?= 2e-3 4e-3 8e-3
GRID_galore ?= 1e-2 2e-2 4e-2
GRID_lowrank ?= 4e-3 8e-3 1.6e-2
GRID_sltrain ?= 4e-3 8e-3 1.6e-2
GRID_halfadam ?= 4e-3 8e-3 1.6e-2
$(foreach r,muon sltrainmuon spectral half,$(eval GRID_$(r) ?= 1e-2 2e-2 4e-2))

# ---- Rules ----
.DELETE_ON_ERROR:
.PHONY: all grid FORCE
all: $(OUT)/ladder.tsv $(OUT)/fit.tsv $(OUT)/ladder.svg
	@for table in $(OUT)/ladder.tsv $(OUT)/fit.tsv; do column -t -s "$$(printf '\t')" $$table 2>/dev/null || cat $$table; done
grid: $(OUT)/grid.tsv
	@column -t -s "$$(printf '\t')" $< 2>/dev/null || cat $<

$(OUT)/train.tok: $(CORPUS)
	@[ -n '$(CORPUS)' ] && [ -n '$(VALID)' ] || { echo "ladder.mk: CORPUS and VALID name the text" >&2; exit 2; }
	@mkdir -p $(OUT)
	$(BIN)/slt-tokenize --train-tokenizer $(OUT)/spm.model --vocab-size 2048 --seed 1 -o $@ $(CORPUS)

$(OUT)/valid.tok: $(OUT)/train.tok $(VALID)
	$(BIN)/slt-tokenize --tokenizer $(OUT)/spm.model -o $@ $(VALID)

# SIZE size hidden intermediate heads layers
define SIZE
$(OUT)/$(1)/config.json: $(OUT)/train.tok
	@mkdir -p $(OUT)/$(1)
	@printf '{"model_type": "llama", "vocab_size": 2048, "hidden_size": %d, "intermediate_size": %d, "num_attention_heads": %d,\
	"num_hidden_layers": %d, "max_position_embeddings": 128, "rms_norm_eps": 1e-6}\n' $(SHAPE_$(1)) >$$@

$(OUT)/$(1)/tokens: $(OUT)/train.tok
	@mkdir -p $(OUT)/$(1)
	@printf 'tokens\t%d\ntext_tokens\t%d\n' $$$$(($(STEPS_$(1)) * 4096)) \
		"$$$$($(BIN)/slt-info $$< | awk -F '\t' '$$$$1 == "tokens" { print $$$$2 }')" >$$@
endef
$(foreach z,$(sort $(SIZES) $(GRID_SIZES)),$(eval $(call SIZE,$(z))))

# RUN size row lr seed: OUT/size/row-lr-seed.slt and its evaluation.
define RUN
$(OUT)/$(1)/$(2)-$(3)-$(4).slt: $(OUT)/$(1)/config.json
	$(BIN)/slt-init --config $$< --tokenizer $(OUT)/spm.model $(INIT_$(2)) --seed $(4) -o $(OUT)/$(1)/$(2)-$(3)-$(4)-init.slt
	$(BIN)/slt-train --data $(OUT)/train.tok --steps $(STEPS_$(1)) --warmup $$$$(($(STEPS_$(1)) / 10)) --batch 32 --seq 128 \
		$(TRAIN_$(2)) --$(or $(RATE_$(2)),lr) $(3) --seed $(4) --threads 1 --checkpoint-every 10m --keep 1 --resume \
		--metrics $(OUT)/$(1)/$(2)-$(3)-$(4).jsonl -o $$@ $(OUT)/$(1)/$(2)-$(3)-$(4)-init.slt
	@rm -f $(OUT)/$(1)/$(2)-$(3)-$(4)-*.slt

$(OUT)/$(1)/$(2)-$(3)-$(4).eval: $(OUT)/$(1)/$(2)-$(3)-$(4).slt $(OUT)/valid.tok $(OUT)/$(1)/tokens
	@$(BIN)/slt-init --config $(OUT)/$(1)/config.json --tokenizer $(OUT)/spm.model $(INIT_$(2)) --dry-run >$(OUT)/$(1)/$(2)-$(3)-$(4).init
	$(BIN)/slt-eval --threads 1 --seq 128 --batch 32 --limit 500K --data $(OUT)/valid.tok $$< >$$@
endef
LRS = $(sort $(GRID_$(1)) $(LR_$(1)))
$(foreach z,$(sort $(SIZES) $(GRID_SIZES)),$(foreach r,$(ROWS),$(foreach l,$(call LRS,$(r)),$(foreach s,$(sort 1 $(SEEDS)),\
	$(eval $(call RUN,$(z),$(r),$(l),$(s)))))))

# Seed after seed, so that a table of one seed is soon there.
RUNS := $(foreach s,$(SEEDS),$(foreach z,$(SIZES),$(foreach r,$(ROWS),$(OUT)/$(z)/$(r)-$(LR_$(r))-$(s))))
GRID_RUNS := $(foreach z,$(GRID_SIZES),$(foreach r,$(ROWS),$(foreach l,$(GRID_$(r)),$(OUT)/$(z)/$(r)-$(l)-1)))

# Anew each time: ROWS may be others.
$(OUT)/ladder.tsv: $(RUNS:=.eval) FORCE
	@pipelines/ladder-table $(RUNS) >$@

$(OUT)/fit.tsv: $(RUNS:=.eval) FORCE
	@pipelines/ladder-table --fit $(RUNS) >$@

$(OUT)/ladder.svg: $(OUT)/ladder.tsv $(OUT)/fit.tsv
	@pipelines/ladder-picture $^ >$@

$(OUT)/grid.tsv: $(GRID_RUNS:=.eval) FORCE
	@pipelines/ladder-table $(GRID_RUNS) >$@
