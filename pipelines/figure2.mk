# The paper's Figure 2 and its spectra of learned weights: how fast the singular values of a trained full-rank matrix fall
# and how small what its best part of rank r leaves is; and what BA and S give to each singular value of a trained sparse
# plus low-rank matrix.
#
# Inputs:   CORPUS='FILES' to train on, as for table2.mk; or FULL=MODEL.slt and SLTRAIN=MODEL.slt, trained already.
# Outputs:  OUT/full and OUT/sltrain: report.tsv (slt-svd-inspect(1)) and figures of the linears that match LAYER.
# Duration: SCALE=nano takes 3 minutes on 2 cores.
#
# usage: make -f pipelines/figure2.mk BIN=build OUT=build/figure2 CORPUS='train/*.json.gz' \
#            [SCALE=nano|...|60m|...] [LAYER='*.7.*']

BIN ?= build
SCALE ?= nano
OUT ?= build/figure2-$(SCALE)
CORPUS ?=

include pipelines/scales.mk

LR_full := $(if $(SHORT),2e-3,1e-3)
LR_sltrain := $(if $(SHORT),8e-3,3e-3)
# The last attention output; the paper shows that of the 60m model.
LAYER ?= *.$(shell expr $(call preset,layers) - 1).self_attn.o_proj
FULL ?= $(OUT)/full.slt
SLTRAIN ?= $(OUT)/sltrain.slt

.DELETE_ON_ERROR:
.PHONY: all
all: $(OUT)/full/report.tsv $(OUT)/sltrain/report.tsv
	@ls $(OUT)/full $(OUT)/sltrain

$(OUT)/train.tok: $(CORPUS)
	@[ -n '$(CORPUS)' ] || { echo "figure2.mk: CORPUS names the text" >&2; exit 2; }
	@mkdir -p $(OUT)
	$(BIN)/slt-tokenize $(TOKENIZER) --seed 1 -o $@ $(CORPUS)

$(OUT)/full.slt $(OUT)/sltrain.slt: $(OUT)/%.slt: $(OUT)/train.tok
	$(BIN)/slt-init --preset $(SCALE) --method $* --tokenizer $(OUT)/spm.model | \
		$(BIN)/slt-train --data $< $(DATA) --lr $(LR_$*) -o $@ -

# INSPECT name model
define INSPECT
$(OUT)/$(1)/report.tsv: $(2)
	@mkdir -p $(OUT)/$(1)
	$(BIN)/slt-svd-inspect --spectra --layer '$(LAYER)' --plot $(OUT)/$(1) -o $$@ $$<
endef
$(eval $(call INSPECT,full,$(FULL)))
$(eval $(call INSPECT,sltrain,$(SLTRAIN)))
