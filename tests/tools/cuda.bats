# --device cuda, on a CPU: the backend's own sources under tests/cuda-emulation, opened by the programs as ever; on a GPU
# with SLT_TEST_CUDA=libslt-cuda.so.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    # The programs look for the backend beside the library that they use.
    mkdir bin
    cp -a "$BIN"/slt-{init,train,eval,generate,plan,info} "$BIN"/libslt.so* "${SLT_TEST_CUDA:-$BIN/emulation/libslt-cuda.so}" bin
    for method in full sltrain relora; do
        slt-init --config tiny.json --tokenizer spm.model --method $method -o $method.slt
    done
    slt-init --config tiny.json --tokenizer spm.model --dense-layers first --layer 'last:qkv,down:rank=13' -o mixed.slt
    slt-init --config tiny.json --tokenizer spm.model --method sltrain --support block:16x1 --density 0.2 -o block1.slt
    slt-init --config tiny.json --tokenizer spm.model --method sltrain --support block:16x4 --density 0.2 -o block4.slt
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
    PATH=$DATA/bin:$PATH
    TRAIN=(--data "$DATA/train.tok" --batch 4 --seq 24 --steps 4 --warmup 2 --lr 1e-3 --no-provenance)
}

emulated() {
    [ -z "$SLT_TEST_CUDA" ] || skip "a GPU is as large as it is"
}

losses() { sed -n 's/.*"loss":\([^,]*\),.*/\1/p' "$1"; }

@test "training on it is training on the CPU: losses of every method, optimizer and precision" {
    # In bfloat16 activations are rounded as well, to 2^-9: where that turns the sign of a small gradient, Adam's first steps
    # go the other way, and a second moment whose code is 0 in one run and not in the other moves its weight by a whole
    # step more. 7e-4 has been seen without codes.
    for how in "1e-4 full" "1e-4 sltrain --route dense" "1e-4 sltrain --route factored" \
        "1e-4 sltrain --per-layer --optimizer adam8bit" "1e-4 sltrain --per-layer --clip 0.5" "1e-4 relora --relora-every 2" \
        "1e-4 full --optimizer galore8bit --galore-rank 4 --micro-batch 2" "1e-4 sltrain --clip 0.5 --recompute block" \
        "2e-3 sltrain --precision bf16-sr --micro-batch 2" "2e-3 full --precision bf16-master" "2e-3 sltrain --precision bf16 --route factored" \
        "2e-2 sltrain --precision bf16 --optimizer adam8bit --per-layer --clip 0.5" "2e-3 relora --precision bf16 --relora-every 2" \
        "2e-3 full --precision bf16 --optimizer galore --galore-rank 4" "2e-3 full --precision bf16 --recompute cheap" \
        "2e-3 full --precision bf16 --optimizer galore --galore-rank 8 --galore-gap 3" \
        "2e-2 full --precision bf16 --optimizer galore8bit --galore-rank 8 --per-layer" \
        "2e-3 full --precision bf16-sr --optimizer galore --galore-rank 8 --clip 0.5" \
        "2e-3 full --precision bf16 --optimizer galore --galore-rank 8 --micro-batch 2" \
        "2e-3 block1 --precision bf16 --route factored" "2e-3 block4 --precision bf16 --route factored" "1e-4 block4 --route factored" \
        "1e-4 full --optimizer muon" "1e-4 sltrain --optimizer spectral" "1e-3 sltrain --optimizer spectral8bit --per-layer" \
        "2e-3 sltrain --precision bf16 --optimizer spectral" "1e-4 mixed --per-layer --optimizer adam8bit" \
        "1e-4 mixed --optimizer spectral --recompute block"; do
        read -r limit model more <<<"$how"
        for device in cpu cuda; do
            # shellcheck disable=SC2086 # several words
            slt-train "${TRAIN[@]}" --device $device $more --metrics $device.jsonl -o $device.slt "$DATA/$model.slt"
        done
        paste <(losses cpu.jsonl) <(losses cuda.jsonl) | awk -v how="$how" -v limit="$limit" \
            '{ print how, $0, $1 - $2 } !($1 > 0 && ($1 - $2) ^ 2 <= limit ^ 2) { exit bad = 1 } END { exit bad || NR != 4 }'
        # Other sums, other bytes.
        if cmp -s cpu.slt cuda.slt; then false; fi
    done
}

@test "a feed-forward width that is no multiple of 8 lies padded: the same files, and every product on whole packs" {
    sed 's/"intermediate_size": *[0-9]*/"intermediate_size": 45/' "$DATA/tiny.json" >odd.json
    for how in "1e-4 full" "2e-3 full --precision bf16" "2e-3 sltrain --rank 16 --precision bf16 --route factored" \
        "2e-3 sltrain --rank 16 --precision bf16 --route dense" "2e-3 full --precision bf16 --optimizer galore --galore-rank 8" \
        "2e-3 relora --rank 16 --precision bf16 --relora-every 2"; do
        read -r limit method more <<<"$how"
        rank=()
        if [[ $more == --rank* ]]; then
            rank=(--rank 16)
            more=${more#--rank 16}
        fi
        slt-init --config odd.json --tokenizer "$DATA/spm.model" --method "$method" "${rank[@]}" -o odd.slt
        for device in cpu cuda; do
            # What is no multiple of 8 elements then is refused; a projector (GaLore) has the width that gate has.
            [[ $more == *galore* ]] || export SLT_EMULATION_EXTENTS=1
            # shellcheck disable=SC2086 # several words
            slt-train "${TRAIN[@]}" --device $device $more --metrics $device.jsonl -o $device.slt odd.slt
            # Nothing changes in the first, but every weight has gone there and back.
            # shellcheck disable=SC2086
            slt-train "${TRAIN[@]}" --device $device $more --warmup 0 --steps 1 --lr 1e-99 -o still-$device.slt odd.slt
        done
        unset SLT_EMULATION_EXTENTS
        paste <(losses cpu.jsonl) <(losses cuda.jsonl) | awk -v how="$how" -v limit="$limit" \
            '{ print how, $0, $1 - $2 } !($1 > 0 && ($1 - $2) ^ 2 <= limit ^ 2) { exit bad = 1 } END { exit bad || NR != 4 }'
        cmp still-cpu.slt still-cuda.slt
    done
    # Positions that a file gives, not a seed.
    slt-init --config odd.json --tokenizer "$DATA/spm.model" --method full -o odd.slt
    slt-init --from odd.slt --method sltrain --rank 4 --density 0.1 --support top -o top.slt
    for device in cpu cuda; do
        slt-train "${TRAIN[@]}" --device $device --route factored --lr 1e-2 --metrics $device.jsonl -o $device.slt top.slt
        slt-train "${TRAIN[@]}" --device $device --warmup 0 --steps 1 --lr 1e-99 -o still-$device.slt top.slt
    done
    paste <(losses cpu.jsonl) <(losses cuda.jsonl) | awk '{ print } !(($1 - $2) ^ 2 <= 1e-5 ^ 2) { exit 1 }'
    cmp still-cpu.slt still-cuda.slt
}

@test "a run on it resumes to the same bytes, in any order of its threads" {
    SLT_EMULATION_ORDER=reverse slt-train "${TRAIN[@]}" --device cuda --keep-state -o straight.slt "$DATA/sltrain.slt"
    slt-train "${TRAIN[@]}" --device cuda --keep-state --checkpoint-every 2 --checkpoint s -o a.slt "$DATA/sltrain.slt"
    SLT_EMULATION_ORDER=random slt-train "${TRAIN[@]}" --device cuda --keep-state --resume --checkpoint s -o b.slt "$DATA/sltrain.slt"
    cmp straight.slt a.slt
    cmp straight.slt b.slt
    for how in "" "--optimizer galore8bit --galore-rank 8 --galore-gap 3 --per-layer"; do
        # shellcheck disable=SC2206 # several words
        run=(slt-train "${TRAIN[@]}" --device cuda --precision bf16 $how --keep-state)
        rm -f s*
        "${run[@]}" --checkpoint-every 2 --checkpoint s -o a.slt "$DATA/full.slt"
        SLT_EMULATION_ORDER=random "${run[@]}" --resume --checkpoint s -o b.slt "$DATA/full.slt"
        cmp a.slt b.slt
    done
}

@test "a run with projectors in bfloat16 goes on on the CPU, and the other way" {
    for way in "cuda cpu" "cpu cuda"; do
        read -r from to <<<"$way"
        run=(slt-train "${TRAIN[@]}" --precision bf16 --optimizer galore --galore-rank 8 --keep-state)
        rm -f s*
        "${run[@]}" --device "$from" --metrics straight --checkpoint-every 2 --checkpoint s -o a.slt "$DATA/full.slt"
        "${run[@]}" --device "$to" --metrics resumed --resume --checkpoint s -o b.slt "$DATA/full.slt"
        paste <(losses straight | tail -n 2) <(losses resumed | tail -n 2) |
            awk '{ print $0 } !($1 > 0 && ($1 - $2) ^ 2 <= 2e-3 ^ 2) { exit bad = 1 } END { exit bad || NR != 2 }'
    done
}

@test "a 7B model in bfloat16 is planned within what was measured, with gradients as they are kept" {
    emulated
    plan() { SLT_EMULATION_DEVICES=0 slt-plan --device cuda --preset 7b --method full --precision bf16 --seq 256 "$@"; }
    [ "$(plan --batch 1 | value_of total)" -le 67400000000 ]
    [ "$(plan --batch 1 --optimizer galore8bit --per-layer | value_of total)" -lt 22000000000 ]
    # Embedding and head, 32000 x 4096 each, and 65 norms are in 32 bits; with more micro-batches or masters all are.
    large=$((4 * (2 * 32000 * 4096 + 65 * 4096)))
    linears=$((32 * 4096 * (4 * 4096 + 3 * 11008)))
    [ "$(plan --batch 1 | value_of gradients)" -eq $((large + 2 * linears)) ]
    [ "$(plan --batch 2 --micro-batch 1 | value_of gradients)" -eq $((large + 4 * linears)) ]
    [ "$(plan --batch 1 --precision bf16-master | value_of gradients)" -eq $((large + 4 * linears)) ]
    [ "$(plan --batch 1 --precision f32 | value_of gradients)" -eq $((large + 4 * linears)) ]
}

@test "recorded or one by one, kept or worked out again: the same bytes" {
    for how in "" "--precision bf16" "--precision bf16-sr --optimizer adam8bit --per-layer --clip 0.5" \
        "--precision bf16-sr --optimizer spectral8bit"; do
        # shellcheck disable=SC2206 # several words
        run=(slt-train "${TRAIN[@]}" --device cuda --steps 5 $how)
        "${run[@]}" -o a.slt "$DATA/sltrain.slt"
        for other in --eager "--recompute cheap" "--recompute block"; do
            # shellcheck disable=SC2086
            "${run[@]}" $other -o b.slt "$DATA/sltrain.slt"
            cmp a.slt b.slt
        done
    done
}

@test "evaluation and generation on it, and its name" {
    a=$(slt-eval --data "$DATA/valid.tok" --seq 24 --limit 500 "$DATA/full.slt" | value_of loss)
    b=$(slt-eval --data "$DATA/valid.tok" --seq 24 --limit 500 --device cuda "$DATA/full.slt" | value_of loss)
    awk -v a="$a" -v b="$b" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < 1e-10) }'
    slt-generate --device cpu --prompt 'static int' --temperature 0 --max-tokens 12 "$DATA/sltrain.slt" >a
    slt-generate --device cuda --prompt 'static int' --temperature 0 --max-tokens 12 "$DATA/sltrain.slt" >b
    cmp a b
    slt-eval -v --data "$DATA/valid.tok" --seq 24 --limit 100 --device cuda "$DATA/full.slt" 2>&1 | grep -q 'GPU, '
}

@test "what is allocated is what was planned" {
    emulated
    # The workspace of cuBLASLt and the maps of codes come on top.
    own=$((32 * 1024 * 1024 + 2 * 256 * 4))
    for how in "sltrain" "block1 --precision bf16 --per-layer --optimizer adam8bit --route factored" \
        "full --precision bf16" "full --precision bf16 --optimizer galore --galore-rank 4" \
        "full --precision bf16 --optimizer galore8bit --galore-rank 8 --per-layer"; do
        read -r model more <<<"$how"
        # shellcheck disable=SC2206 # several words
        run=("${TRAIN[@]}" --device cuda --micro-batch 4 $more)
        plan=$(slt-train "${run[@]}" --dry-run "$DATA/$model.slt" | value_of total)
        [ "$plan" -gt 500000 ]
        SLT_EMULATION_MEMORY=$((plan + own)) slt-train "${run[@]}" -o a.slt "$DATA/$model.slt"
        SLT_EMULATION_MEMORY=$((plan + own - 4096)) run slt-train "${run[@]}" -o b.slt "$DATA/$model.slt"
        [ "$status" -eq 1 ]
        [[ ${lines[0]} == *"the run needs "*" of memory on the device and "*" are free: weights "*", workspace "* ]]
        [[ ${lines[1]} == "hint: with "*"--recompute block"* ]]
        [ ! -e b.slt ]
    done
    # What is said to fit does.
    run=("${TRAIN[@]}" --device cuda --micro-batch 4 "$DATA/full.slt")
    less=$(slt-train "${run[@]}" --recompute block --micro-batch 1 --dry-run | value_of total)
    SLT_EMULATION_MEMORY=$((less + own)) run slt-train "${run[@]}" -o b.slt
    [ "$status" -eq 1 ]
    [[ ${lines[1]} == "hint: with --recompute block, --micro-batch 1 it needs "*", which fits" ]]
    SLT_EMULATION_MEMORY=$((less + own)) slt-train "${run[@]}" --recompute block --micro-batch 1 -o b.slt
    # An evaluation has no plan to look at.
    SLT_EMULATION_MEMORY=$own run slt-eval --data "$DATA/valid.tok" --device cuda "$DATA/full.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"bytes on the GPU for"*"are free"* ]]
}

@test "a plan for a GPU needs none, and is that of the run" {
    emulated
    # Those that come one by one from slt-plan are sums of what slt-train lays out.
    for how in "--precision bf16" "--precision bf16 --support block:16x1 --route factored" "--precision bf16-sr --optimizer adam8bit --per-layer"; do
        support=$(sed -n 's/.*\(--support [^ ]*\).*/\1/p' <<<"$how")
        # shellcheck disable=SC2086 # several words
        slt-init --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --method sltrain $support -o m.slt
        # shellcheck disable=SC2086
        slt-train "${TRAIN[@]}" --device cuda --dry-run ${how/$support/} m.slt | grep -E '^(weights|activations|workspace|index|total)' >run
        # shellcheck disable=SC2086
        SLT_EMULATION_DEVICES=0 slt-plan --config "$DATA/tiny.json" --vocab-size 512 --method sltrain --device cuda --batch 4 --seq 24 $how |
            grep -E '^(weights|activations|workspace|index|total)' >plan
        diff run plan
    done
}

@test "a micro-batch that is not given is the device's, as far as its memory goes" {
    emulated
    export SLT_EMULATION_DEVICES=0
    plan() { slt-plan --preset 60m --batch 512 "$@"; }
    [ "$(plan --device cpu | value_of micro_batch)" = 16 ]
    [ "$(plan --device cuda | value_of micro_batch)" = 64 ]
    [ "$(plan --device cuda --batch 60 | value_of micro_batch)" = 60 ]
    [ "$(plan --device cuda --batch 81 | value_of micro_batch)" = 27 ]
    [ "$(plan --device cuda --seq 20000 | value_of micro_batch)" = 1 ]
    # As large as fits in nine tenths: the next divisor does not.
    plan --device cuda --memory 4G >small
    [ "$(value_of micro_batch <small)" = 32 ]
    [ "$(value_of total <small)" -lt 3600000000 ]
    [ "$(plan --device cuda --micro-batch 64 | value_of total)" -gt 3600000000 ]
    [ "$(plan --device cuda --memory 1M | value_of micro_batch)" = 1 ]
    # The memory of a GPU that is there decides alike.
    unset SLT_EMULATION_DEVICES
    large=(slt-train "${TRAIN[@]}" --device cuda --seq 256 --batch 64 --dry-run "$DATA/full.slt")
    whole=$("${large[@]}" | value_of total)
    [ "$("${large[@]}" | value_of micro_batch)" = 64 ]
    [ "$(SLT_EMULATION_MEMORY=$((whole * 9 / 10)) "${large[@]}" | value_of micro_batch)" = 32 ]
    # A state of a run with another one is not gone on from.
    run=("${TRAIN[@]}" --device cuda --checkpoint-every 2 --keep 4 -o run.slt)
    slt-train "${run[@]}" --micro-batch 2 "$DATA/full.slt" && rm run.slt
    run slt-train "${run[@]}" --resume "$DATA/full.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"--micro-batch (not given, was 2)"* ]]
}

@test "a plan for a GPU predicts the time of a step by parts, for two GPUs, in bfloat16" {
    emulated
    plan=(slt-plan --preset 60m --device cuda --batch 64 --micro-batch 64)
    export SLT_EMULATION_DEVICES=0
    "${plan[@]}" --precision bf16 | grep '^predicted' >both
    [ "$(wc -l <both)" -eq 20 ]
    for gpu in h100 h200; do
        sed -n "s/^predicted_${gpu}_//p" both | awk -F '\t' '
            { v[$1] = $2 }
            $1 ~ /_ms$/ { sum += $2 }
            function near(a, b) { return a > .995 * b && a < 1.005 * b }
            END { exit !(NR == 10 && near(sum, v["ms"]) && near(v["tokens_per_second"], 64 * 256 / v["ms"] * 1e3) &&
                         v["mfu"] > .1 && v["mfu"] < .62) }'
    done
    # More memory rate, the same arithmetic.
    value() { awk -F '\t' -v n="$1" '$1 == n { print $2 }' both; }
    [ "$(value predicted_h100_norms_ms)" != "$(value predicted_h200_norms_ms)" ]
    [ "$(value predicted_h100_products_ms)" = "$(value predicted_h200_products_ms)" ]
    [ -z "$("${plan[@]}" | grep '^predicted')" ]
    [ -z "$(slt-plan --preset 60m --device cpu --precision bf16 | grep '^predicted')" ]
}

@test "a plan's routes are those of the run, in its precision" {
    emulated
    routes() { sed -nE 's/.*(qkv|o|gate_up|down): (dense|factored) route/\1 \2/p' "$1"; }
    for precision in f32 bf16; do
        slt-train -v "${TRAIN[@]}" --device cuda --precision $precision -o m.slt "$DATA/block1.slt" 2>log
        SLT_EMULATION_DEVICES=0 slt-plan --config "$DATA/tiny.json" --vocab-size 512 --method sltrain --support block:16x1 \
            --density 0.2 --device cuda --batch 4 --seq 24 --precision $precision |
            sed -n 's/^route_//p' | tr '\t' ' ' >plan.$precision
        [ "$(wc -l <plan.$precision)" -eq 4 ]
        diff plan.$precision <(routes log)
    done
    # Bands are products of tensor cores in bf16 only, so that it matters.
    for precision in f32 bf16; do
        SLT_EMULATION_DEVICES=0 slt-plan --preset 60m --method sltrain --support block:16x1 --device cuda --precision $precision |
            grep '^route_' >large.$precision
    done
    run cmp large.f32 large.bf16
    [ "$status" -eq 1 ]
}

@test "no GPU, and no backend: one sentence and status 1" {
    emulated
    SLT_EMULATION_DEVICES=0 run slt-train "${TRAIN[@]}" --device cuda -o a.slt "$DATA/full.slt"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"cannot use device 'cuda': no CUDA-capable device"* ]]
    mkdir bare && cp -a "$DATA"/bin/slt-eval "$DATA"/bin/libslt.so* bare
    run bare/slt-eval --data "$DATA/valid.tok" --device cuda "$DATA/full.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"cannot use device 'cuda': libslt-cuda.so is not there"* ]]
    mkdir bare/slt && echo nonsense >bare/slt/libslt-cuda.so
    run bare/slt-eval --data "$DATA/valid.tok" --device cuda "$DATA/full.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"cannot use device 'cuda': "*"slt/libslt-cuda.so"* ]]
    bare/slt-eval --data "$DATA/valid.tok" --limit 100 "$DATA/full.slt" >/dev/null
}

@test "a library that the backend needs is found in CUDA's folders and Python's packages, or the sentence says where it was looked for" {
    emulated
    cp -a "$DATA/bin" bin
    needed=libneeded-by-a-backend.so.7
    python=venv/lib/python3.99/site-packages/nvidia/some/lib
    mkdir -p home/lib64 $python
    echo 'int needed(void) { return 1; }' >needed.c
    cc -shared -fPIC -Wl,-soname,$needed -o home/lib64/$needed needed.c
    c++ -shared -o bin/libslt-cuda.so "$BIN"/emulation/*.o -Wl,--no-as-needed "$PWD/home/lib64/$needed"
    run bin/slt-train "${TRAIN[@]}" --device cuda -o a.slt "$DATA/full.slt"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"cannot use device 'cuda': $needed is neither where the loader looks nor in \$CUDA_HOME/lib64, "* ]]
    CUDA_HOME=$PWD/home bin/slt-train -v "${TRAIN[@]}" --device cuda -o a.slt "$DATA/full.slt" 2>said
    grep -q "emulated on the CPU.*, $PWD/home/lib64/$needed" said
    # What is named but cannot be loaded is passed over.
    mv home/lib64/$needed $python
    echo broken >home/lib64/$needed
    CUDA_HOME=$PWD/home VIRTUAL_ENV=$PWD/venv bin/slt-train -v "${TRAIN[@]}" --device cuda -o b.slt "$DATA/full.slt" 2>said
    grep -q "emulated on the CPU.*, $PWD/$python/$needed" said
    cmp a.slt b.slt
    # No folder that depends on where the program was started.
    run env CUDA_HOME=home VIRTUAL_ENV=venv bin/slt-train "${TRAIN[@]}" --device cuda -o c.slt "$DATA/full.slt"
    [ "$status" -eq 1 ]
}
