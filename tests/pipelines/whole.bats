# One whole pipeline, from text to generated text: short enough to run under sanitizers.

setup() {
    load ../tools/common
    cd "$BATS_TEST_TMPDIR"
}

@test "text, tokens, three methods, state and resume, evaluation, generation" {
    make_small_data
    for method in full lowrank sltrain; do
        slt-init --config tiny.json --tokenizer spm.model --method $method -o init.slt
        slt-train --data train.tok --valid valid.tok --valid-limit 500 --batch 4 --micro-batch 2 --seq 24 --steps 6 \
            --clip 1 --checkpoint-every 2 --metrics m.jsonl -o $method.slt init.slt
        slt-train --data train.tok --valid valid.tok --valid-limit 500 --batch 4 --micro-batch 2 --seq 24 --steps 6 \
            --clip 1 --checkpoint-every 2 --metrics m.jsonl --resume -o again.slt --checkpoint $method init.slt
        cmp $method.slt again.slt
        slt-info --check $method.slt
        slt-eval --data valid.tok --seq 24 --limit 500 $method.slt | grep -q '^perplexity'
        slt-generate --prompt 'static int' --max-tokens 8 $method.slt | grep -q 'static int'
    done
    slt-train --data train.tok --batch 2 --seq 24 --steps 2 --route dense -o dense.slt init.slt
    slt-tokenize --tokenizer spm.model --decode valid.tok >/dev/null
    if slt-eval --data valid.tok text; then false; fi
    if slt-info --check <(head -c 5000 sltrain.slt); then false; fi
}
