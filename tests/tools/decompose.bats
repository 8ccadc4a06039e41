# A trained dense model as a low-rank product plus a sparse part: slt-init --from, slt-train --train-only.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    slt-init --config tiny.json --tokenizer spm.model --method full --seed 3 -o new.slt
    slt-train --data train.tok --batch 4 --seq 32 --steps 60 --lr 1e-2 -o dense.slt new.slt
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
}

loss() { slt-eval --data "$DATA/valid.tok" --seq 32 "$1" | value_of loss | grep . || echo "no loss of $1"; }
near() { awk -v a="$1" -v b="$2" -v limit="$3" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < (limit * a) ^ 2) }'; }
# MODEL: its weights, parts made whole, a number a line.
weights() {
    local size
    mkdir -p whole
    slt-init --from "$1" --method full -o whole.slt && tar -xf whole.slt -C whole
    size=$(od -An -t u8 -N 8 whole/model.safetensors | tr -d ' ')
    tail -c +$((9 + size)) whole/model.safetensors | od -An -v -t f4 -w4
}
# The square of the distance between two models' weights. Losses of near ones may lie either way.
distance() { paste <(weights "$1") <(cd two && weights "$2") | awk 'NF != 2 { exit 1 } { sum += ($1 - $2) ^ 2 } END { print sum, NR }'; }
# Whether the first of three models is nearer to the second one than to the third.
nearer() {
    mkdir -p two
    awk -v b="$(distance "$1" "$PWD/$2")" -v c="$(distance "$1" "$PWD/$3")" \
        'BEGIN { split(b, x, " "); split(c, y, " "); exit !(x[2] > 40000 && x[2] == y[2] && x[1] > 0 && x[1] < 0.9 * y[1]) }'
}
from() { slt-init --from "$DATA/dense.slt" "$@"; }

# The kinds of tensors ("lora_A", "weight") in which two checkpoints differ.
changed() {
    local name at bytes
    places "$1" one >places
    [ "$(wc -l <places)" -gt 10 ]
    mkdir -p two && tar -xf "$2" -C two
    while read -r name at bytes; do
        cmp -s -i "$((at))" -n "$bytes" one/model.safetensors two/model.safetensors || echo "${name##*.}"
    done <places | sort -u | tr '\n' ' '
}

@test "all of the residual as support is the dense model again, and so is the full rank" {
    dense=$(loss "$DATA/dense.slt")
    from --method lowrank --rank 32 -o a.slt
    from --rank 8 --density 1 -o b.slt
    from --rank 8 --density 1 --support top --alpha 3 -o c.slt
    from --rank 8 --density 1 --support block:4x4 -o d.slt
    for model in a b c d; do
        slt-info --check $model.slt
        near "$dense" "$(loss $model.slt)" 1e-5
    done
    # Merged again, whatever the method.
    from --rank 8 --support top -o e.slt
    for model in b e; do
        slt-init --from $model.slt --method full -o full.slt
        near "$(loss $model.slt)" "$(loss full.slt)" 1e-5
    done
}

@test "parts are worth what they hold: more rank, then S, then its largest values" {
    from --method lowrank --rank 4 -o low.slt
    from --rank 4 --density 0.5 -o random.slt
    from --rank 4 --density 0.5 --support top -o top.slt
    from --rank 4 --density 0.2 --sparse zero -o zero.slt
    from --rank 4 --density 0.2 --sparse random -o fresh.slt
    near "$(loss low.slt)" "$(loss zero.slt)" 1e-6
    nearer "$DATA/dense.slt" top.slt random.slt
    nearer "$DATA/dense.slt" random.slt low.slt
    if near "$(loss low.slt)" "$(loss fresh.slt)" 1e-6; then false; fi
    from --rank 4 --support top >a
    from --rank 4 --support top | cmp - a
}

@test "explicit positions go through every tool" {
    from --rank 4 --density 0.1 --support top -o top.slt
    tar -xOf top.slt config.json | grep -q '"support": "explicit"'
    slt-quantize -o q.slt top.slt
    slt-quantize --dequantize -o back.slt q.slt
    near "$(loss top.slt)" "$(loss q.slt)" 0.01
    near "$(loss q.slt)" "$(loss back.slt)" 1e-6
    slt-generate --prompt int --max-tokens 5 top.slt >text
    run=(slt-train --data "$DATA/train.tok" --batch 4 --seq 32 --steps 6 --keep-state)
    "${run[@]}" -o straight.slt top.slt
    "${run[@]}" --checkpoint-every 4 --checkpoint s -o b.slt top.slt
    "${run[@]}" --resume --checkpoint s -o again.slt top.slt
    cmp straight.slt again.slt
    # The positions are still those of the start.
    [ "$(changed top.slt straight.slt)" = "lora_A lora_B sparse_value weight " ]
    # Positions that do not ascend are refused, with the tensor's name.
    at=$(places top.slt x | awk '$1 ~ /sparse_index/ { print $2; exit }')
    { tail -c +$((at + 5)) x/model.safetensors | head -c 4; tail -c +$((at + 1)) x/model.safetensors | head -c 4; } >swapped
    damage top.slt "$at" swapped bad.slt
    run slt-eval --data "$DATA/valid.tok" bad.slt
    [ "$status" -eq 1 ]
    [[ $output == *sparse_index*ascend* ]]
}

@test "what is not to be trained stays as it was, and costs no memory" {
    from --rank 4 --density 0.1 -o start.slt
    train() { slt-train --data "$DATA/train.tok" --batch 4 --seq 32 --steps 4 --no-provenance "$@"; }
    for only in sparse factors; do
        for route in dense factored; do
            for more in "" "--per-layer" "--micro-batch 1"; do
                # shellcheck disable=SC2086 # no word or two
                train --train-only $only --route $route $more -o $only.slt start.slt
                what=$(changed start.slt $only.slt)
                echo "$only $route $more: $what"
                [ "$what" = "$([ $only = sparse ] && echo "sparse_value " || echo "lora_A lora_B ")" ]
            done
        done
        all=$(train --dry-run start.slt | value_of moments)
        some=$(train --dry-run --train-only $only start.slt | value_of moments)
        [ "$some" -gt 0 ]
        [ $((some * 4)) -lt "$all" ]
    done
    # S alone learns a text by heart that is a few windows long.
    head -c 700 "$ROOT/LICENSE" | slt-tokenize --tokenizer "$DATA/spm.model" -o few.tok
    for end in start:0 learned:400; do
        slt-train --data few.tok --batch 4 --seq 32 --steps $((${end#*:} + 1)) --lr 2e-2 --train-only sparse \
            --metrics "${end%:*}" -o sparse.slt start.slt
    done
    last() { sed -n 's/.*"loss":\([^,]*\),.*/\1/p' "$1" | tail -n 1; }
    awk -v a="$(last start)" -v b="$(last learned)" 'BEGIN { print a, b; exit !(b > 0 && b < a - 0.5) }'
    run train --train-only sparse -o none.slt "$DATA/dense.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"nothing to train only"* ]]
}
