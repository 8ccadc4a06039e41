# slt-eval: exact, whatever the batch, and the published evaluators' number next to it.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    slt-init --config tiny.json --tokenizer spm.model --method sltrain --rank 8 -o init.slt
    slt-train --data train.tok --steps 20 --batch 4 --seq 32 --lr 1e-2 -o model.slt init.slt
}

setup() {
    load common
    cd "$BATS_FILE_TMPDIR"
}

# COUNT FILE: so many numbers, above 0, that differ by rounding only.
all_equal() {
    awk -v count="$1" 'NR == 1 { a = $1 } !($1 > 0 && ($1 - a) ^ 2 < 1e-10) { exit bad = 1 } END { exit bad || NR != count }' "$2"
}

@test "an untrained model's perplexity is that of guessing" {
    awk -v p="$(slt-eval --data valid.tok init.slt | value_of perplexity)" 'BEGIN { exit !(p > 480 && p < 540) }'
}

@test "every token but the first is predicted, whatever the batch" {
    tokens=$(slt-info valid.tok | value_of tokens)
    for b in 1 3 16 1000; do
        slt-eval --data valid.tok --batch $b --seq 32 model.slt >out
        [ "$(value_of tokens <out)" = $((tokens - 1)) ]
        value_of loss <out
    done >losses
    all_equal 4 losses
}

@test "perplexity and bits per byte follow from the loss" {
    slt-eval --data valid.tok --seq 32 model.slt >out
    bytes=$(slt-info valid.tok | value_of text_bytes)
    awk -F '\t' -v bytes="$bytes" '{ v[$1] = $2 } END { p = exp(v["loss"]); b = v["loss"] * v["tokens"] / log(2) / bytes
        exit !((p / v["perplexity"] - 1) ^ 2 < 1e-12 && (b / v["bits_per_byte"] - 1) ^ 2 < 1e-12) }' out
}

@test "the published protocol divides by one batch too many" {
    slt-eval --data valid.tok --seq 32 --batch 4 --protocol galore model.slt >out
    batches=$(value_of batches <out)
    [ "$batches" -gt 3 ]
    awk -F '\t' '{ v[$1] = $2 } END { exit !(v["galore_loss"] < v["loss"] && v["galore_perplexity"] < v["perplexity"]) }' out
    # With whole batches only, the mean of the batches is the mean of the tokens.
    slt-eval --data valid.tok --seq 32 --batch 4 --protocol galore --limit $((3 * 4 * 32)) model.slt >out
    awk -F '\t' '{ v[$1] = $2 } END { exit !(v["batches"] == 3 && (v["galore_loss"] * 4 / 3 / v["loss"] - 1) ^ 2 < 1e-12) }' out
}

@test "a stream gives the number that the file gives" {
    slt-eval --data valid.tok --seq 32 model.slt >a
    cat valid.tok | slt-eval --data - --seq 32 model.slt >b
    diff a b
    zstd -q -f valid.tok -o v.zst
    slt-eval --data v.zst --seq 32 model.slt | diff a -
}

@test "both routes and the plain backend agree" {
    for how in '--route dense' '--route factored' '--device cpu-reference'; do
        slt-eval --data valid.tok --seq 32 --limit 2000 $how model.slt | value_of loss
    done >losses
    all_equal 3 losses
}

@test "--json is an object with the same names" {
    slt-eval --data valid.tok --seq 32 --json model.slt >out
    for name in loss perplexity tokens bits_per_byte; do grep -q "\"$name\": [0-9]" out; done
}

@test "the document layout predicts all but the first token of each document" {
    slt-eval --data valid.tok --layout document --seq 4000 --batch 1 model.slt >out
    slt-info valid.tok >info
    [ "$(value_of tokens <out)" = $(($(value_of tokens <info) - $(value_of documents <info))) ]
}

@test "another device than there is is refused with the reason" {
    run slt-eval --data valid.tok --device cuda model.slt
    [ "$status" -eq 1 ]
    [[ $output == *"cannot use device 'cuda'"* ]]
}
