# slt-init: exact sizes, values that depend on the seed alone, and what it refuses.

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
}

parameters() {
    slt-init --dry-run "$@" | value_of parameters
}

@test "parameter counts of the paper's models are exact" {
    # 2 V d + L (4 d^2 + 3 d f) + (2 L + 1) d, and with factors r (in + out) and floor(density in out) a linear.
    [ "$(parameters --preset 60m --method full)" = 58073600 ]
    [ "$(parameters --preset 130m --method full)" = 134105856 ]
    [ "$(parameters --preset 350m --method full)" = 367969280 ]
    [ "$(parameters --preset 1b --method full)" = 1339082752 ]
    [ "$(parameters --preset 7b --method full)" = 6738415616 ]
    [ "$(parameters --preset 60m --method lowrank)" = 42770944 ]
    [ "$(parameters --preset 60m)" = $((42770944 + 8 * (4 * 7864 + 3 * 21135))) ]
}

@test "rounded to the paper's millions" {
    check() { [ "$(parameters "${@:2}" | awk '{ printf "%.2f", $1 / 1e6 }')" = "$1" ]; }
    check 42.77 --preset 60m --method lowrank
    check 94.00 --preset 130m --method lowrank
    check 185.22 --preset 350m --method lowrank
    check 609.31 --preset 1b --method lowrank
    check 43.53 --preset 60m
    check 96.55 --preset 130m
    check 194.29 --preset 350m
    check 645.55 --preset 1b
}

@test "a preset's name may be in capitals" {
    for names in "60M 60m" "1B 1b" "Nano nano"; do
        read -r capitals small <<<"$names"
        for tool in "slt-init --dry-run" "slt-plan --method full"; do
            # shellcheck disable=SC2086 # several words
            diff <($tool --preset "$capitals") <($tool --preset "$small")
        done
    done
    slt-init --preset NANO -o capitals.slt
    slt-init --preset nano -o small.slt
    cmp capitals.slt small.slt
    run slt-init --preset 61M
    [ "$status" -eq 2 ]
}

@test "the same seed gives the same bytes, another seed others" {
    slt-init --preset nano --seed 5 -o a.slt
    slt-init --preset nano --seed 5 -o b.slt
    slt-init --preset nano --seed 6 -o c.slt
    cmp a.slt b.slt
    if cmp -s a.slt c.slt; then false; fi
    OMP_NUM_THREADS=1 slt-init --preset nano --seed 5 -o d.slt
    cmp a.slt d.slt
}

@test "every method, support and size passes slt-info --check" {
    for how in '--method full' '--method lowrank' '--method lowrank --lora-b zero' '--method sltrain' \
        '--support block:16x1' '--support block:4x4 --density 0.1'; do
        slt-init --preset nano $how -o a.slt
        slt-info --check a.slt
    done
}

@test "a config.json of Hugging Face's gives its sizes" {
    printf '%s' '{"model_type": "llama", "vocab_size": 97, "hidden_size": 24, "intermediate_size": 31,' \
        '"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true}' >c.json
    [ "$(parameters --config c.json --method full)" = $((97 * 24 + 24 * (24 + 12 + 12 + 24) + 3 * 24 * 31 + 3 * 24)) ]
    slt-init --config c.json --method full | slt-info --check -
}

@test "configurations that compute something else are refused" {
    base='{"vocab_size": 97, "intermediate_size": 31, "num_hidden_layers": 1, "num_attention_heads": 4'
    echo "$base, \"hidden_size\": 24}" >c.json
    slt-init --config c.json --method full -o good.slt
    for extra in '"hidden_size": 24, "attention_bias": true|"attention_bias" is true' \
        '"hidden_size": 24, "hidden_act": "gelu"|"hidden_act" is not "silu"' \
        '"hidden_size": 24, "rope_scaling": {"rope_type": "yarn"}|"rope_scaling.rope_type" is "yarn"' \
        '"hidden_size": 24, "num_key_value_heads": 3|no multiple of num_key_value_heads 3' \
        '"hidden_size": 24, "vocab_size": 5|duplicate object key' '"hidden_size": 24, "model_type": "bert"|"model_type" is "bert"' \
        '"hidden_size": 2|"hidden_size" 2 is no multiple of "num_attention_heads" 4' '"head_dim": 6|hidden_size'; do
        echo "$base, ${extra%|*}}" >c.json
        run slt-init --config c.json --method full -o a.slt
        echo "$extra: $output"
        [ "$status" -eq 1 ]
        [[ $output == "slt-init: 'c.json'"*"${extra#*|}"* ]]
        [ ! -e a.slt ]
    done
}

@test "options that do not fit together are wrong usage" {
    for how in '--preset nano --config c.json' '' '--preset 3b' '--preset nano --method full --rank 4' \
        '--preset nano --method lowrank --density 0.1' '--preset nano --density 1.5' '--preset nano --support round' \
        '--preset nano --rank 0' '--preset nano extra'; do
        run slt-init $how -o a.slt
        echo "$how: $output"
        [ "$status" -eq 2 ]
    done
}

@test "a relora model starts from a full-rank one: its tensors, its loss, its provenance" {
    make_small_data
    slt-init --config tiny.json --tokenizer spm.model --method full -o init.slt
    slt-train --data train.tok --batch 2 --seq 24 --steps 4 -o full.slt init.slt
    slt-init --method relora --from full.slt --rank 4 -o relora.slt
    slt-info --check relora.slt
    a=$(slt-eval --data valid.tok --seq 24 --limit 500 full.slt | value_of loss)
    b=$(slt-eval --data valid.tok --seq 24 --limit 500 relora.slt | value_of loss)
    [ -n "$a" ]
    [ "$a" = "$b" ]
    [ "$(tar -xOf relora.slt provenance.jsonl | grep -c '"tool"')" -eq 3 ]
    slt-init --method relora --from - --rank 4 -o piped.slt <full.slt
    cmp relora.slt piped.slt
    for wrong in "--support top --preset nano" "--sparse zero --preset nano" "--support explicit --from full.slt" \
        "--sparse zero --method lowrank --from full.slt" "--method relora --from full.slt --preset nano"; do
        # shellcheck disable=SC2086 # several words
        run slt-init $wrong -o wrong.slt
        [ "$status" -eq 2 ]
    done
    run slt-init --method relora --from <(head -c 100000 full.slt) -o wrong.slt
    [ "$status" -eq 1 ]
    [ ! -e wrong.slt ]
}

@test "blocks that fit into no linear are refused" {
    run slt-init --preset nano --support block:200x16 -o m.slt
    [ "$status" -eq 2 ]
    [[ $output == *"a block of 200x16 does not fit into a linear of 128x128"* ]]
    slt-init --preset nano --support block:128x128 --density 0.5 -o m.slt
}
