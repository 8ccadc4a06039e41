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

@test "a recipe is what a model consists of, and how it is trained" {
    [ "$(slt-init --dry-run --preset 130m --recipe paper | grep -v '^training')" = "$(slt-init --dry-run --preset 130m)" ]
    slt-init --dry-run --preset 130m --recipe paper | value_of training | grep -q '"steps":22000,.*"lr":0.003,"warmup":2200'
    # Half of the weights; what is given counts before it.
    slt-init --dry-run --preset 130m --recipe best >best
    [ "$(value_of rank <best)" = 192 ]
    [ "$(value_of density <best)" = 0.1 ]
    [ "$(value_of rank < <(slt-init --dry-run --preset 130m --recipe best --rank 5))" = 5 ]
    awk -v best="$(value_of linear_share <best)" 'BEGIN { exit !(best > 0.45 && best < 0.5) }'
    # The checkpoint carries it, and an optimizer that a plan goes by.
    slt-init --preset nano --recipe best --no-provenance -o best.slt
    tar -xOf best.slt config.json | tr -d ' \n' | grep -q '"training":{"optimizer":"muon",'
    [ "$(slt-plan --preset nano --recipe best | value_of optimizer)" = muon ]
    [ "$(slt-plan --preset nano --recipe best --optimizer sgd | value_of optimizer)" = sgd ]
    for wrong in "nano --recipe paper:60m, 130m, 350m, 1b and 7b" "60m --recipe best --method full:sltrain, not for full" \
        "60m --recipe good:unknown value"; do
        # shellcheck disable=SC2086 # several words
        run slt-init --dry-run --preset ${wrong%%:*}
        echo "$wrong: $output"
        [ "$status" -eq 2 ]
        [[ $output == *"${wrong#*:}"* ]]
    done
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
        '--method relora --start svd' '--method lowrank --start orthogonal --dense-layers 1' \
        '--support block:16x1' '--support block:4x4 --density 0.1' '--support rows' '--support channels'; do
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

@test "a budget is met by the largest rank that keeps to it, dense layers and densities counted" {
    share() { slt-init --preset nano --dry-run "$@" | value_of linear_share; }
    rank() { slt-init --preset nano --dry-run "$@" | value_of rank; }
    [ "$(share --method full)" = 1 ]
    # 4 (4 d^2 + 3 d f) in all; with rank 32 each linear has 32 (in + out) and floor(.03 in out).
    [ "$(share --rank 32)" = "$(awk 'BEGIN { printf "%.9g", (32 * (4 * 256 + 3 * 480) + 4 * 491 + 3 * 1351) / (4 * 16384 + 3 * 45056) }')" ]
    for how in "0.5" "0.5 --dense-layers first" "0.4 --density 0.1" "0.3 --method lowrank" "0.6 --layer *:o:rank=100" \
        "0.7 --dense-layers 0,last --layer 1-2:down:density=0.2" "0.25 --method relora"; do
        read -r budget more <<<"$how"
        set -f
        # shellcheck disable=SC2086 # several words
        r=$(rank --budget "$budget" $more)
        # shellcheck disable=SC2086
        awk -v f="$budget" -v at="$(share --rank "$r" $more)" -v above="$(share --rank $((r + 1)) $more)" \
            'BEGIN { exit !(at > 0 && at <= f && above > f) }'
        set +f
    done
    slt-init --preset nano --budget 0.4 -v -o m.slt 2>log
    grep -q "rank $(rank --budget 0.4): the linears have 0.39" log
    [ "$(slt-plan --preset nano --budget 0.4 | value_of rank)" = "$(rank --budget 0.4)" ]
}

@test "layers that differ: what they have, and what is refused" {
    slt-init --preset nano --dense-layers 0,2-last --layer 1:o,down:rank=48,density=0.1 -o m.slt
    slt-info --check m.slt
    [ "$(slt-info m.slt | grep -c 'self_attn.q_proj.weight')" -eq 3 ]
    slt-info m.slt | grep -q 'model.layers.1.mlp.down_proj.lora_A.*48x352'
    slt-init --preset nano --dry-run --dense-layers 0,2-last --layer 1:o,down:rank=48,density=0.1 >report
    [ "$(value_of forms <report)" = "0:*:method=full 2-3:*:method=full 1:o,down:rank=48,density=0.1" ]
    [ "$(value_of parameters <report)" = "$(slt-info m.slt | value_of parameters)" ]
    [ "$(value_of linear_share <report)" = "$(slt-plan --preset nano --dense-layers 0,2-3 --layer 1:o,down:rank=48,density=0.1 | value_of linear_share)" ]
    tar -xOf m.slt provenance.jsonl | grep -q '"layers": *\["0:\*:method=full", *"2-3:\*:method=full", *"1:o,down:rank=48,density=0.1"\]'
    # A linear that is as the model has it has the values that it has without the others.
    slt-init --preset nano -o plain.slt
    slt-init --preset nano --dense-layers last -o last.slt
    places plain.slt p >p.txt
    places last.slt l >l.txt
    value() { read -r _ at bytes < <(grep "^$2 " "$1.txt"); tail -c +$((at + 1)) "$1/model.safetensors" | head -c "$bytes"; }
    cmp <(value p model.layers.2.mlp.up_proj.sparse_value) <(value l model.layers.2.mlp.up_proj.sparse_value)
    slt-init --preset nano --method full -o full.slt
    places full.slt f >f.txt
    cmp <(value f model.layers.3.mlp.up_proj.weight) <(value l model.layers.3.mlp.up_proj.weight)
    set -f
    for how in "--dense-layers 4" "--dense-layers 2-1" "--dense-layers x" "--layer 0:o" "--layer 0:q:rank=4" "--layer 0:o:rank=999" \
        "--layer 0:o:alpha=4" "--layer 0:o:rank=4 --layer 0-1:*:density=0.1" "--dense-layers 0 --layer 0:o:rank=4" \
        "--method full --dense-layers 0" "--method lowrank --layer 0:o:density=0.1" "--budget 0.5 --rank 4" "--budget 0" "--budget 1.5" \
        "--budget 0.2 --dense-layers first" "--budget 0.5 --method full"; do
        # shellcheck disable=SC2086
        run slt-init --preset nano $how -o wrong.slt
        echo "$how: $output"
        [ "$status" -eq 2 ]
        [ ! -e wrong.slt ]
    done
}

@test "A and B start as --start says, S times --sparse-scale; as ever without them" {
    slt-init --preset nano --seed 5 --no-provenance -o m.slt
    slt-init --preset nano --seed 5 --no-provenance --start kaiming --sparse-scale 1 -o k.slt
    cmp m.slt k.slt
    places m.slt m >m.txt
    value() { read -r _ at bytes < <(grep "^$2 " "$1.txt"); tail -c +$((at + 1)) "$1/model.safetensors" | head -c "$bytes"; }
    sha() { value "$1" "model.layers.3.mlp.down_proj.$2" | sha256sum | cut -c 1-16; }
    # These bytes are what models have started from since there are any.
    [ "$(sha m lora_A) $(sha m lora_B) $(sha m sparse_value)" = "42665384d566124b 4fe7b59af6de3b66 046b1f2526852e16" ]
    slt-init --preset nano --seed 5 --method full -o full.slt
    for start in svd orthogonal; do
        slt-init --preset nano --seed 5 --start $start -o $start.slt
        OMP_NUM_THREADS=1 slt-init --preset nano --seed 5 --start $start -o again.slt
        cmp $start.slt again.slt
        slt-info --check $start.slt
        tar -xOf $start.slt provenance.jsonl | grep -q "\"start\": *\"$start\""
        places $start.slt $start >$start.txt
        [ "$(sha $start sparse_value)" = 046b1f2526852e16 ]
        [ "$(sha $start lora_A)" != 42665384d566124b ]
        # Singular values of B A: the largest of W0, or all alike, and of the same norm.
        slt-svd-inspect --layer '*.3.mlp.down_proj' $start.slt | awk -F '\t' '$1 == "spectrum" && $3 == "BA" { print $5, $9 }' >$start.values
    done
    slt-svd-inspect --layer '*.3.mlp.down_proj' --rank 32 full.slt | awk -F '\t' '$1 == "spectrum" { print $5 * sqrt($7), $9 }' >want
    paste svd.values orthogonal.values want | awk '{ print } !(($1 / $5 - 1) ^ 2 < 1e-8 && ($3 / $5 - 1) ^ 2 < 1e-3 && $4 > 31.99 && $4 < 32.01) { exit 1 }'
    slt-init --preset nano --sparse-scale 0.5 -o half.slt
    tar -xOf half.slt provenance.jsonl | grep -q '"sparse_scale": *0.5'
    for wrong in "--preset nano --method full --start svd" "--from full.slt --start svd" "--from full.slt --sparse-scale 2" \
        "--preset nano --method lowrank --sparse-scale 2" "--preset nano --sparse-scale -1" "--preset nano --start normal" \
        "--preset nano --method lowrank --lora-b zero --start orthogonal"; do
        # shellcheck disable=SC2086 # several words
        run slt-init $wrong -o wrong.slt
        [ "$status" -eq 2 ]
        [ ! -e wrong.slt ]
    done
    slt-init --from full.slt --sparse random --sparse-scale 2 -o m.slt
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
