# slt-train: what it learns, what it writes, and that a run which was stopped ends like one that was not.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    slt-init --config tiny.json --tokenizer spm.model --method sltrain --rank 8 --seed 3 -o init.slt
    slt-init --config tiny.json --tokenizer spm.model --method full --seed 3 -o full.slt
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
    # The options of every run here; --lr and -o follow.
    TRAIN=(--data "$DATA/train.tok" --batch 4 --seq 32 --warmup 2 --lr 1e-2)
}

metric() { # KEY FILE: its values, one a line
    sed -n "s/.*\"$1\":\([^,}]*\).*/\1/p" "$2"
}

# Metrics without what the clock says.
timeless() {
    sed -E 's/"(step_seconds|data_seconds|tokens_per_second|valid_seconds|peak_resident_bytes)":[^,}]*//g' "$1"
}

@test "training lowers the loss, and eval agrees with the last validation" {
    slt-train "${TRAIN[@]}" --steps 60 --valid "$DATA/valid.tok" --metrics m.jsonl -o m.slt "$DATA/init.slt"
    [ "$(metric loss m.jsonl | awk 'NR == 1 { a = $1 } { b = $1 } END { print (b < a - 0.5) }')" = 1 ]
    loss=$(slt-eval --data "$DATA/valid.tok" --seq 32 --batch 4 m.slt | value_of loss)
    awk -v a="$loss" -v b="$(metric valid_loss m.jsonl)" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < 1e-10) }'
    slt-info --check m.slt
}

@test "one thread and two threads give the same bytes, and so does doing it again" {
    for n in 1 2 2; do
        slt-train "${TRAIN[@]}" --steps 6 --threads "$n" -o "m$n.slt" "$DATA/init.slt"
        [ -f first.slt ] || cp "m$n.slt" first.slt
        cmp "m$n.slt" first.slt
    done
}

@test "a run stopped by SIGTERM writes its state, ends by the signal, and resumes to the same bytes" {
    slt-train "${TRAIN[@]}" --steps 300 --metrics straight.jsonl -o straight.slt "$DATA/init.slt"
    slt-train "${TRAIN[@]}" --steps 300 --metrics m.jsonl -o m.slt "$DATA/init.slt" &
    pid=$!
    until [ "$(wc -l <m.jsonl 2>/dev/null || echo 0)" -ge 5 ]; do sleep 0.02; done
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    [ "$status" -eq 143 ]
    [ ! -e m.slt ]
    slt-info --check m-*.slt
    slt-train "${TRAIN[@]}" --steps 300 --metrics m.jsonl --resume -o m.slt "$DATA/init.slt"
    cmp m.slt straight.slt
    diff <(timeless m.jsonl) <(timeless straight.jsonl)
}

@test "a newer state that is damaged is passed over, and named" {
    run=(slt-train "${TRAIN[@]}" --steps 9 --checkpoint-every 2 --checkpoint s --keep 9 -o m.slt "$DATA/init.slt")
    "${run[@]}"
    mv m.slt straight.slt
    printf 'XXXX' | dd of=s-8.slt bs=1 seek=5000 conv=notrunc status=none
    "${run[@]}" --resume 2>err
    grep -q "passed over.*s-8.slt" err
    cmp m.slt straight.slt
}

@test "a storm of signals changes nothing" {
    slt-init --preset nano --vocab-size 4096 --method full -o nano.slt
    run=(slt-train --data "$DATA/train.tok" --batch 8 --seq 128 --steps 25 --no-provenance nano.slt)
    "${run[@]}" -o quiet.slt
    for ((k = 0; k < 3; k++)); do
        "${run[@]}" --metrics m.jsonl -o noisy.slt 2>/dev/null &
        pid=$!
        until [ -s m.jsonl ]; do sleep 0.01; done
        while kill -USR1 $pid 2>/dev/null; do sleep 0.002; done
        wait $pid
        cmp quiet.slt noisy.slt
        rm noisy.slt m.jsonl
    done
}

@test "a run killed with SIGKILL at any moment resumes from a whole checkpoint to the same bytes" {
    run=(slt-train -q "${TRAIN[@]}" --steps 120 --checkpoint-every 3 --keep 2)
    "${run[@]}" -o straight.slt "$DATA/init.slt"
    RANDOM=${KILL_SEED:-1}
    echo "KILL_SEED=${KILL_SEED:-1}"
    kills=0
    for ((i = 0; i < ${KILLS:-50}; i++)); do
        "${run[@]}" --resume -o m.slt "$DATA/init.slt" &
        pid=$!
        sleep "0.$(printf %03d $((RANDOM % 60 + 5)))"
        kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
        wait $pid 2>/dev/null || true
        for state in m-*.slt; do
            [ ! -e "$state" ] || slt-info --check "$state"
        done
        if [ -e m.slt ]; then
            cmp m.slt straight.slt
            rm -f m.slt m-*.slt
        fi
    done
    echo "$kills kills"
    [ "$kills" -ge 10 ]
    "${run[@]}" --resume -o m.slt "$DATA/init.slt"
    cmp m.slt straight.slt
}

@test "a damaged newest state is passed over for the one before" {
    slt-train "${TRAIN[@]}" --steps 9 -o straight.slt "$DATA/init.slt"
    slt-train "${TRAIN[@]}" --steps 9 --checkpoint-every 3 --checkpoint s --keep 5 -o m.slt "$DATA/init.slt"
    [ "$(echo s-*.slt)" = "s-3.slt s-6.slt" ]
    truncate -s -700 s-6.slt
    run slt-train "${TRAIN[@]}" --steps 9 --checkpoint s --resume -o again.slt "$DATA/init.slt"
    [ "$status" -eq 0 ]
    [[ $output == *"resuming after step 3"* ]]
    cmp again.slt straight.slt
}

@test "resuming with other numbers is refused, with their names; other threads are fine" {
    slt-train "${TRAIN[@]}" --steps 8 --checkpoint-every 4 --checkpoint s -o m.slt "$DATA/init.slt"
    run slt-train "${TRAIN[@]}" --steps 8 --clip 1 --seed 9 --checkpoint s --resume -o n.slt "$DATA/init.slt"
    echo "$output"
    [ "$status" -eq 2 ]
    [[ $output == *"--clip"* && $output == *"--seed"* && $output != *"--beta1"* ]]
    [ ! -e n.slt ]
    slt-train "${TRAIN[@]}" --steps 8 --threads 1 --checkpoint s --resume -o n.slt "$DATA/init.slt"
    cmp m.slt n.slt
}

@test "only the newest --keep states stay" {
    slt-train "${TRAIN[@]}" --steps 12 --checkpoint-every 2 --keep 2 -o m.slt "$DATA/init.slt"
    [ "$(echo m-*.slt)" = "m-10.slt m-8.slt" ]
}

@test "--keep-state leaves the optimizer in the result, else it is gone" {
    slt-train "${TRAIN[@]}" --steps 2 -o plain.slt "$DATA/init.slt"
    slt-train "${TRAIN[@]}" --steps 2 --keep-state -o state.slt "$DATA/init.slt"
    if tar tf plain.slt | grep -q optimizer; then false; fi
    tar tf state.slt | grep -q optimizer.safetensors
}

@test "a pipe of init, train and eval needs no files in between" {
    slt-init --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --method sltrain --rank 8 --seed 3 |
        slt-train "${TRAIN[@]}" --steps 5 - | slt-eval --data "$DATA/valid.tok" --seq 32 - >piped
    slt-train "${TRAIN[@]}" --steps 5 -o m.slt "$DATA/init.slt"
    slt-eval --data "$DATA/valid.tok" --seq 32 m.slt >plain
    diff piped plain
}

@test "tokens from a pipe are one pass in order, and cannot be resumed on" {
    slt-train --data - --batch 4 --seq 32 --steps 5 -o m.slt "$DATA/init.slt" < <(cat "$DATA/train.tok")
    zstd -q -o t.zst "$DATA/train.tok"
    slt-train --data t.zst --batch 4 --seq 32 --steps 5 -o z.slt "$DATA/init.slt"
    slt-eval --data "$DATA/valid.tok" --seq 32 m.slt >a
    slt-eval --data "$DATA/valid.tok" --seq 32 z.slt >b
    diff a b
    run slt-train --data t.zst --batch 4 --seq 32 --steps 5 --resume -o z.slt "$DATA/init.slt"
    [ "$status" -ne 0 ]
    [[ $output == *"stream"* ]]
    run slt-train --data t.zst --batch 4 --seq 32 --steps 100000 -o y.slt "$DATA/init.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"ended after"* ]]
}

@test "the document layout pads and truncates, and trains" {
    slt-train "${TRAIN[@]}" --layout document --steps 40 --metrics m.jsonl -o m.slt "$DATA/init.slt"
    [ "$(metric loss m.jsonl | awk 'NR == 1 { a = $1 } { b = $1 } END { print (b < a) }')" = 1 ]
}

@test "both routes and both accumulations agree to rounding" {
    for how in '--route dense' '--route factored' '--micro-batch 1' '--micro-batch 2'; do
        slt-train "${TRAIN[@]}" $how --steps 5 --metrics "m$how.jsonl" -o m.slt "$DATA/init.slt"
        metric loss "m$how.jsonl" | tail -n 1
    done >losses
    awk 'NR == 1 { a = $1 } !($1 > 0) || ($1 - a) ^ 2 > 1e-8 { exit bad = 1 } END { exit bad || NR != 4 }' losses
}

@test "a learning rate that blows up stops the run with a sentence, and writes nothing" {
    run slt-train "${TRAIN[@]}" --lr 1e30 --warmup 0 --steps 50 --nonfinite-limit 5 -o m.slt "$DATA/full.slt"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"not finite in 5 steps in a row"* ]]
    [ ! -e m.slt ]
}

@test "the time limit ends a run that --resume completes" {
    slt-train "${TRAIN[@]}" --steps 600 -o straight.slt "$DATA/init.slt"
    run slt-train "${TRAIN[@]}" --steps 600 --max-time 0.1s -o m.slt "$DATA/init.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"time is up"* ]]
    [ ! -e m.slt ]
    slt-train "${TRAIN[@]}" --steps 600 --resume -o m.slt "$DATA/init.slt"
    cmp m.slt straight.slt
}

@test "tokens of another tokenizer are refused" {
    make_text text
    slt-tokenize --train-tokenizer other.model --vocab-size 400 -o other.tok text
    run slt-train --data other.tok --steps 2 -o m.slt "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"another tokenizer"* ]]
}

@test "a shape that the device cannot compute is refused in one sentence, by layout, plan and run" {
    sed 's/}/, "head_dim": 512}/' "$DATA/tiny.json" >wide.json
    slt-init --config wide.json --tokenizer "$DATA/spm.model" --method full -o wide.slt
    sentence="device 'cpu' cannot do attention with 2 heads of 512 in F32"
    run slt-train "${TRAIN[@]}" --steps 3 --device cpu --dry-run wide.slt
    [ "$status" -eq 2 ]
    [[ ${lines[0]} == "slt-train: $sentence" ]]
    run slt-train "${TRAIN[@]}" --steps 3 --device cpu -o m.slt wide.slt
    [ "$status" -eq 2 ]
    [[ ${lines[0]} == "slt-train: $sentence" ]]
    run slt-plan --config wide.json --method full --device cpu
    [ "$status" -eq 2 ]
    [[ ${lines[0]} == "slt-plan: $sentence" ]]
    for command in "slt-eval --device cpu --data $DATA/valid.tok" "slt-generate --device cpu --prompt a --max-tokens 2"; do
        # shellcheck disable=SC2086 # several words
        run $command wide.slt
        [ "$status" -eq 1 ]
        [[ $output == *"$sentence" ]]
    done
    # The largest head that it has, and the plain operations on any.
    sed 's/}/, "head_dim": 256}/' "$DATA/tiny.json" >wide.json
    slt-init --config wide.json --tokenizer "$DATA/spm.model" --method full -o wide.slt
    for device in cpu cpu-reference; do
        slt-train "${TRAIN[@]}" --steps 3 --device $device --metrics $device.jsonl -o $device.slt wide.slt
    done
    paste <(metric loss cpu.jsonl) <(metric loss cpu-reference.jsonl) |
        awk '!($1 > 0) || ($1 - $2) ^ 2 > 1e-6 { exit bad = 1 } END { exit bad || NR != 3 }'
}

@test "--dry-run prints steps and memory, and so does a run" {
    slt-train "${TRAIN[@]}" --tokens 1000 --dry-run "$DATA/init.slt" >plan
    [ "$(value_of steps <plan)" = 8 ]
    [ "$(value_of weights <plan)" -ge $(($(value_of parameters <plan) * 4)) ]
    slt-train -v "${TRAIN[@]}" --steps 2 -o m.slt "$DATA/init.slt" 2>log
    grep -q "total.* $(value_of total <plan) bytes" log
}

@test "metrics that cannot be written do not stop a run" {
    run slt-train "${TRAIN[@]}" --steps 2 --metrics /dev/full -o m.slt "$DATA/init.slt"
    [ "$status" -eq 0 ]
    [[ $output == *"training goes on without"* ]]
}

# OPTIONS...: the same bytes with 1 thread, with 2, and after a stop in the middle.
same_when_resumed() {
    local run=(slt-train "${TRAIN[@]}" --steps 9 --keep-state "$@")
    "${run[@]}" --threads 1 -o one.slt "$init"
    "${run[@]}" --checkpoint-every 4 --checkpoint s --keep 9 -o two.slt "$init"
    cmp one.slt two.slt
    rm -f s-8.slt
    slt-info --check s-4.slt
    "${run[@]}" --resume --checkpoint s -o three.slt "$init"
    cmp one.slt three.slt
    rm -f s-*.slt
}

@test "every optimizer resumes to the same bytes, on any number of threads" {
    init=$DATA/init.slt
    for optimizer in adamw adam8bit sgd muon8bit spectral spectral8bit; do same_when_resumed --optimizer $optimizer; done
    init=$DATA/full.slt
    for optimizer in adamw adam8bit sgd muon; do same_when_resumed --optimizer $optimizer; done
    for optimizer in galore galore8bit; do
        same_when_resumed --optimizer $optimizer --galore-rank 4 --galore-gap 3 --galore-svd exact
    done
    same_when_resumed --optimizer galore --galore-rank 4 --galore-gap 3 --galore-no-stagger
    for precision in bf16-sr bf16-master; do
        same_when_resumed --optimizer sgd --per-layer --precision $precision
    done
    init=$DATA/init.slt
    for precision in bf16 bf16-sr bf16-master; do
        same_when_resumed --optimizer spectral8bit --per-layer --precision $precision
    done
    # There is nothing to project in a model without full-rank weights.
    run slt-train "${TRAIN[@]}" --steps 3 --optimizer galore -o none.slt "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"full-rank weights"* ]]
}

@test "new factors of the same product change no logits, and a run resumes across them" {
    init=$DATA/init.slt
    for how in "adamw" "spectral8bit --per-layer" "spectral --precision bf16-master"; do
        same_when_resumed --refactor-every 3 --optimizer $how
    done
    for every in 3 4; do
        slt-train "${TRAIN[@]}" --steps 3 --refactor-every $every --optimizer spectral -o $every.slt "$init"
        slt-eval --data "$DATA/valid.tok" --seq 32 $every.slt | value_of loss >$every.loss
    done
    if cmp -s 3.slt 4.slt; then false; fi
    paste 3.loss 4.loss | awk '{ print } !(($1 - $2) ^ 2 < 1e-10) { exit 1 }'
    run slt-train "${TRAIN[@]}" --steps 3 --refactor-every 2 -o none.slt "$DATA/full.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"a model of method full has no factors"* ]]
}

@test "what the command line leaves open is as the model's configuration recommends it" {
    # MODEL TRAINING: the checkpoint with this object in its configuration.
    recommend() {
        rm -rf dir && mkdir dir && tar -xf "$DATA/init.slt" -C dir
        sed -i "s/\"slt\": {/&\"training\": $2,/" dir/config.json
        (cd dir && sha256sum config.json tokenizer.model model.safetensors provenance.jsonl >MANIFEST.sha256 &&
            tar --format=pax -cf - config.json tokenizer.model model.safetensors provenance.jsonl MANIFEST.sha256) >"$1"
        slt-info --check "$1"
    }
    run=(slt-train --data "$DATA/train.tok" --batch 4 --seq 32 --no-provenance)
    weights() { tar -xOf "$1" model.safetensors | cksum; }
    recommend told.slt '{"steps": 4, "lr": 0.01, "optimizer": "spectral", "spectral_lr": 0.01, "warmup_ratio": 0.5, "lr_scale": {"sparse": 2}}'
    options="--steps 4 --lr 0.01 --optimizer spectral --spectral-lr 0.01 --warmup-ratio 0.5 --lr-scale"
    # shellcheck disable=SC2086 # several words
    "${run[@]}" $options sparse=2 -o want.slt "$DATA/init.slt"
    "${run[@]}" --verbose -o got.slt told.slt 2>said
    grep -q "from the model's configuration: $options {\"sparse\": 2}" said
    [ "$(weights got.slt)" = "$(weights want.slt)" ]
    # The command line counts before it, --tokens and --warmup are steps and warm-up too, and what is no option of another
    # optimizer is none that it has.
    "${run[@]}" --steps 3 --lr 0.1 --optimizer sgd --warmup 1 -o want.slt "$DATA/init.slt"
    "${run[@]}" --tokens 384 --lr 0.1 --optimizer sgd --warmup 1 --lr-scale sparse=1 -o got.slt told.slt
    [ "$(weights got.slt)" = "$(weights want.slt)" ]
    while IFS=: read -r key value; do
        recommend told.slt "{\"$key\": $value}"
        run "${run[@]}" --steps 3 -o none.slt told.slt
        echo "$key: $output"
        [ "$status" -eq 1 ]
        [[ $output == *"slt.training in config.json: "*"\"$key\""* ]]
    done <<'END'
step:4
steps:"4"
optimizer:"adan"
lr_scale:{"all": 1}
per_layer:1
END
    recommend told.slt '{"lr": -1}'
    run "${run[@]}" --steps 3 -o none.slt told.slt
    [ "$status" -eq 2 ]
    [[ $output == *"--lr -1 is outside"* ]]
}

@test "parameters have learning rates of their own" {
    run=(slt-train "${TRAIN[@]}" --no-provenance --steps 3 --weight-decay 0.1)
    for optimizer in adamw spectral; do
        "${run[@]}" --optimizer $optimizer -o plain.slt "$DATA/init.slt"
        "${run[@]}" --optimizer $optimizer --lr-scale sparse=1,factors=1 -o same.slt "$DATA/init.slt"
        cmp plain.slt same.slt
        "${run[@]}" --optimizer $optimizer --lr-scale sparse=0,norms=0,factors=0.5 -o other.slt "$DATA/init.slt"
        places "$DATA/init.slt" init >init.list
        places other.slt other >other.list
        diff init.list other.list
        # What has the rate 0 does not move, all else does.
        while read -r name at bytes; do
            same=different
            cmp -s -n "$bytes" -i "$at" init/model.safetensors other/model.safetensors && same=same
            case $name in
            *sparse_value | *norm.weight) [ $same = same ] ;;
            *) [ $same = different ] ;;
            esac
        done <other.list
        rm -r init other
    done
    for wrong in "factors=2:has no factors to train" "weight=2:unknown name 'weight'" "sparse=-1:outside" "sparse=2,:is no list" \
        "sparse:is no list" "=1:unknown name"; do
        run slt-train "${TRAIN[@]}" --steps 3 --lr-scale "${wrong%%:*}" -o none.slt "$DATA/full.slt"
        echo "$wrong: $output"
        [ "$status" -eq 2 ]
        [[ $output == *"${wrong#*:}"* ]]
    done
}

@test "a run with a stable learning rate goes on as a longer one, to the bytes of one that was never shorter" {
    run=(slt-train "${TRAIN[@]}" --warmup 2 --schedule wsd --optimizer spectral)
    "${run[@]}" --steps 8 --decay-steps 3 --checkpoint-every 1 --keep 1 -o short.slt "$DATA/init.slt"
    # The state before the fall, and the newest one.
    [ "$(echo short-*.slt)" = "short-5.slt short-7.slt" ]
    "${run[@]}" --steps 13 --metrics straight.jsonl -o straight.slt "$DATA/init.slt"
    [ "$(echo straight-*.slt)" = "straight-11.slt" ]
    [ "$(grep -o '"lr":[^,]*' straight.jsonl | sed -n '2,11p' | sort -u | wc -l)" = 1 ]
    rm straight-*
    "${run[@]}" --steps 13 --extend short-5.slt -o long.slt "$DATA/init.slt"
    cmp straight.slt long.slt
    # Stopped on the way, the same command goes on from its own state.
    rm long.slt
    "${run[@]}" --steps 13 --extend short-5.slt --resume --checkpoint-every 4 --max-time 0.000001s --checkpoint l -o long.slt "$DATA/init.slt" ||
        [ $? -eq 1 ]
    [ "$(echo l-*.slt)" = l-6.slt ]
    "${run[@]}" --steps 13 --extend none.slt --resume --checkpoint l -o long.slt "$DATA/init.slt"
    cmp straight.slt long.slt
    # A state from within the fall, and one of a run with other options.
    run "${run[@]}" --steps 13 --extend short-7.slt -o none.slt "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"the state of step 7"*"the same up to step 5 only"* ]]
    run "${run[@]}" --steps 13 --lr 1e-4 --extend short-5.slt -o none.slt "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"--lr (0.0001, was "* ]]
    run "${run[@]}" --steps 4 --decay-steps 3 -o none.slt "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"a warm-up of 2 steps and a decay of 3 are more than 4 steps"* ]]
}

@test "a run resumes across a merge of ReLoRA" {
    init=$PWD/relora.slt
    slt-init --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --method relora --rank 4 -o "$init"
    for prune in random magnitude none; do
        same_when_resumed --schedule jagged --relora-every 3 --relora-warmup 1 --relora-prune $prune
    done
    same_when_resumed --optimizer adam8bit --relora-every 3 --relora-prune magnitude
    # The merge itself changes no logits: one step before it and the same run without it end alike.
    slt-train "${TRAIN[@]}" --steps 3 --relora-every 3 -o merged.slt "$init"
    slt-train "${TRAIN[@]}" --steps 3 -o plain.slt "$init"
    if cmp -s merged.slt plain.slt; then false; fi
    a=$(slt-eval --data "$DATA/valid.tok" --seq 32 --limit 500 merged.slt | value_of loss)
    b=$(slt-eval --data "$DATA/valid.tok" --seq 32 --limit 500 plain.slt | value_of loss)
    awk -v a="$a" -v b="$b" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < 1e-10) }'
}

@test "what is recomputed is the same, byte for byte, and takes less memory" {
    for init in "$DATA/init.slt" "$DATA/full.slt"; do
        run=(slt-train "${TRAIN[@]}" --no-provenance --micro-batch 2 --steps 3 "$init")
        "${run[@]}" -o none.slt
        bytes=$("${run[@]}" --dry-run | value_of activations)
        for how in cheap block; do
            "${run[@]}" --recompute $how -o $how.slt
            cmp none.slt $how.slt
            less=$("${run[@]}" --recompute $how --dry-run | value_of activations)
            [ "$less" -gt 0 ]
            [ "$less" -lt "$bytes" ]
            bytes=$less
        done
    done
}

@test "an option that would change nothing is refused, by its name" {
    for needless in "--galore-rank 4:galore8bit" "--galore-no-stagger:galore" "--adam-block 64:8-bit moments" "--spectral-lr 1:muon and spectral" "--momentum .5:muon and spectral" "--relora-prune none:--relora-every"; do
        # shellcheck disable=SC2086 # several words
        run slt-train "${TRAIN[@]}" --steps 3 ${needless%:*} -o none.slt "$DATA/init.slt"
        [ "$status" -eq 2 ]
        [[ $output == *"${needless%%[ :]*} is an option of "*"${needless#*:}"* ]]
    done
    for needless in "--schedule constant --min-lr-ratio 0.2:schedules that fall" "--valid-limit 9:--valid-limit needs --valid" \
        "--log-every 2:--log-every needs --metrics" "--relora-every 2:--relora-every is for models of method relora" \
        "--schedule jagged --relora-every 2 --relora-prune none:--relora-prune is for models of method relora"; do
        # shellcheck disable=SC2086 # several words
        run slt-train "${TRAIN[@]}" --steps 3 ${needless%:*} -o none.slt "$DATA/init.slt"
        echo "$needless: $output"
        [ "$status" -eq 2 ]
        [[ $output == *"${needless##*:}"* ]]
    done
}

@test "updates at every layer are those at the end of the step, also over micro-batches" {
    sed 's/"num_att/"tie_word_embeddings": true, "num_att/' "$DATA/tiny.json" >tied.json
    slt-init --config tied.json --tokenizer "$DATA/spm.model" --method full -o tied.slt
    for init in "$DATA/init.slt" "$DATA/full.slt" tied.slt; do
        for micro in 4 1; do
            run=(slt-train "${TRAIN[@]}" --no-provenance --micro-batch $micro --steps 3 "$init")
            for optimizer in adamw adam8bit spectral "galore8bit --galore-rank 4"; do
                [[ $optimizer == galore8bit* ]] && [ "$init" = "$DATA/init.slt" ] && continue
                # shellcheck disable=SC2086 # several words
                "${run[@]}" --optimizer $optimizer -o end.slt
                # shellcheck disable=SC2086
                "${run[@]}" --optimizer $optimizer --per-layer -o layer.slt
                cmp end.slt layer.slt
            done
        done
        [ "$init" != tied.slt ] || continue
        all=$(slt-train "${TRAIN[@]}" --steps 3 --dry-run "$init" | value_of gradients)
        one=$(slt-train "${TRAIN[@]}" --steps 3 --dry-run --per-layer "$init" | value_of gradients)
        [ "$one" -gt 0 ]
        [ $((2 * one)) -lt "$all" ]
    done
    # Clipping by the last step's norm: other steps, but the same again after a stop. By the exact norm: the same steps.
    init=$DATA/init.slt
    same_when_resumed --per-layer --clip 0.5
    for micro in 4 1; do
        run=(slt-train "${TRAIN[@]}" --no-provenance --micro-batch $micro --steps 3 --clip 0.5 "$init")
        "${run[@]}" -o end.slt
        "${run[@]}" --per-layer -o layer.slt
        "${run[@]}" --per-layer --clip-exact -o exact.slt
        cmp end.slt exact.slt
        if cmp -s end.slt layer.slt; then false; fi
    done
}

@test "GaLore accumulates in its subspace: smaller gradients, the same steps, and the same again after a stop" {
    init=$DATA/full.slt
    run=(slt-train "${TRAIN[@]}" --no-provenance --optimizer galore --galore-rank 4 --galore-gap 1000 --steps 20 "$init")
    # Staggered refreshes are all beyond these steps, so that both have the first projectors only.
    "${run[@]}" --metrics projected.jsonl -o a.slt
    "${run[@]}" --galore-no-stagger --metrics whole.jsonl -o b.slt
    paste <(metric loss projected.jsonl) <(metric loss whole.jsonl) |
        awk '!($1 > 0) || ($1 - $2) ^ 2 > 1e-6 { exit bad = 1 } END { exit bad || NR != 20 }'
    small=$("${run[@]}" --micro-batch 1 --per-layer --dry-run | value_of gradients)
    whole=$("${run[@]}" --micro-batch 1 --galore-no-stagger --dry-run | value_of gradients)
    [ "$small" -gt 0 ]
    [ "$small" -lt "$whole" ]
    for more in "" "--per-layer" "--per-layer --clip 0.5" "--per-layer --clip 0.5 --clip-exact"; do
        # shellcheck disable=SC2086 # several words
        same_when_resumed --optimizer galore8bit --galore-rank 4 --galore-gap 3 --micro-batch 1 $more
    done
}

@test "SGD with momentum learns, and has no use for a second moment" {
    slt-train "${TRAIN[@]}" --steps 80 --optimizer sgd --lr 0.3 --metrics m.jsonl -o m.slt "$DATA/full.slt"
    # The mean of the last losses: one alone is as its batch is.
    [ "$(metric loss m.jsonl | tail -n 20 | awk '{ b += $1 / 20 } END { print b + 0.5 }')" \< "$(metric loss m.jsonl | head -n 1)" ]
    moments=$(slt-train "${TRAIN[@]}" --steps 3 --dry-run "$DATA/full.slt" | value_of moments)
    [ "$(slt-train "${TRAIN[@]}" --steps 3 --optimizer sgd --dry-run "$DATA/full.slt" | value_of moments)" -eq $((moments / 2)) ]
    for wrong in "--beta2 0.9" "--eps 1e-3" "--adam-block 128"; do
        # shellcheck disable=SC2086 # two words
        run slt-train "${TRAIN[@]}" --steps 3 --optimizer sgd $wrong -o none.slt "$DATA/full.slt"
        [ "$status" -eq 2 ]
        [[ $output == *"${wrong%% *} is an option of"* ]]
    done
}

@test "bf16 takes half the memory, resumes to the same bytes, and is near f32" {
    for init in "$DATA/init.slt" "$DATA/full.slt"; do
        for precision in bf16 bf16-sr bf16-master; do
            same_when_resumed --precision $precision
            same_when_resumed --precision $precision --optimizer adam8bit --per-layer
        done
    done
    init=$DATA/full.slt
    for precision in bf16 bf16-sr bf16-master; do
        same_when_resumed --precision $precision --optimizer galore8bit --galore-rank 4
    done
    slt-init --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --method relora --rank 4 -o relora.slt
    init=relora.slt
    same_when_resumed --precision bf16-sr --relora-every 3
    same_when_resumed --precision bf16-master --relora-every 3
    # Every value of the result is one of bfloat16: its lower half is zero.
    slt-train "${TRAIN[@]}" --steps 4 --precision bf16 -o half.slt "$DATA/full.slt"
    tar -xOf half.slt model.safetensors | tail -c 4096 | od -An -v -tx4 -w4 >values
    [ "$(grep -vc '0000$' values)" -eq 0 ]
    [ "$(grep -vc '00000000' values)" -gt 500 ]
    for part in weights moments; do
        a=$(slt-train "${TRAIN[@]}" --steps 3 --dry-run "$DATA/full.slt" | value_of $part)
        b=$(slt-train "${TRAIN[@]}" --steps 3 --dry-run --precision bf16 "$DATA/full.slt" | value_of $part)
        [ "$b" -gt 0 ]
        [ $((a * 10)) -gt $((b * 19)) ]
    done
    slt-train "${TRAIN[@]}" --steps 30 --metrics f32.jsonl -o a.slt "$DATA/full.slt"
    for precision in bf16 bf16-sr bf16-master; do
        slt-train "${TRAIN[@]}" --steps 30 --precision $precision --metrics half.jsonl -o b.slt "$DATA/full.slt"
        awk -v a="$(metric loss f32.jsonl | tail -1)" -v b="$(metric loss half.jsonl | tail -1)" \
            'BEGIN { exit !(a > 0 && b > 0 && (a - b) ^ 2 < 0.01) }'
    done
}

@test "options that go astray are wrong usage, and a state of another model is not resumed" {
    train() { slt-train "${TRAIN[@]}" --steps 3 "$@"; }
    cp "$DATA/train.tok" data.tok
    for wrong in "--micro-batch 3" "--optimizer galore" "--relora-every 2" "--schedule jagged" "--beta1 1" \
        "--clip-exact" "--clip-exact --clip 1" "--clip-exact --per-layer" "--valid-every 2" "--checkpoint-every 2" "--metrics data.tok" "--metrics -" "--relora-every 2 --relora-warmup 2"; do
        # shellcheck disable=SC2086 # several words
        run slt-train --data data.tok --batch 4 --steps 3 $wrong "$DATA/init.slt"
        echo "$wrong: $output"
        [ "$status" -eq 2 ]
    done
    cmp data.tok "$DATA/train.tok"
    train --metrics - -o m.slt "$DATA/init.slt" >stdout
    [ "$(grep -c '"type":"train"' stdout)" -eq 3 ]
    [ "$(wc -l <stdout)" -eq 3 ]
    run train --metrics o.slt -o o.slt "$DATA/init.slt"
    [ "$status" -eq 2 ]
    train --checkpoint-every 2 --checkpoint s -o m.slt "$DATA/init.slt"
    run train --resume --checkpoint s -o m.slt "$DATA/full.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"another model"* ]]
}

@test "8-bit moments take a third of the memory, and nearly the same steps" {
    slt-init --preset nano --vocab-size 4096 --method full -o nano.slt
    full=$(slt-train --dry-run --data "$DATA/train.tok" --steps 1 nano.slt | value_of moments)
    coded=$(slt-train --dry-run --data "$DATA/train.tok" --steps 1 --optimizer adam8bit nano.slt | value_of moments)
    [ "$coded" -gt 0 ]
    [ $((coded * 3)) -lt "$full" ]
    for optimizer in adamw adam8bit; do
        slt-train "${TRAIN[@]}" --lr 3e-3 --steps 60 --optimizer $optimizer --metrics $optimizer.jsonl -o m.slt \
            "$DATA/full.slt"
    done
    # Both learn, and end within what the seed alone would change.
    awk -v start="$(metric loss adamw.jsonl | head -1)" -v a="$(metric loss adamw.jsonl | tail -1)" \
        -v b="$(metric loss adam8bit.jsonl | tail -1)" \
        'BEGIN { print start, a, b; exit !(a < start - 0.8 && b < start - 0.8 && (a - b) ^ 2 < 0.15 ^ 2 && a != b) }'
}

# CMD...: the most anonymous memory that the process has, in bytes, looked at every 10 milliseconds.
peak_anonymous() {
    "$@" &
    local pid=$! peak=0 now
    while now=$(sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
        [ "$now" -le $peak ] || peak=$now
        sleep 0.01
    done
    wait $pid
    echo $((peak * 1024))
}

@test "the memory of a process is its plan: within 5% and 48 MB" {
    # SLT_TEST_PRESET=60m looks at models of real size, and prints what it saw.
    size=(--preset 20m --vocab-size 8000)
    [ -z "$SLT_TEST_PRESET" ] || size=(--preset "$SLT_TEST_PRESET")
    for method in full lowrank sltrain relora; do
        slt-init "${size[@]}" --method $method -o "$method.slt"
    done
    run=(--data "$DATA/train.tok" --batch 8 --seq 64 --steps 2)
    for combination in "full adamw" "full adam8bit --per-layer" "full galore" "full galore8bit --per-layer" \
        "lowrank adamw" "lowrank adam8bit" "relora adamw" "sltrain adamw" "sltrain adam8bit --per-layer" \
        "sltrain adamw --recompute block" "sltrain adamw --micro-batch 2" "sltrain adamw --precision bf16-sr" \
        "full galore --per-layer --micro-batch 2" "full muon" "sltrain spectral8bit --per-layer"; do
        read -r method optimizer more <<<"$combination"
        # shellcheck disable=SC2086 # more is several words
        command=(slt-train "${run[@]}" --optimizer "$optimizer" $more "$method.slt")
        plan=$("${command[@]}" --dry-run | value_of total)
        peak=$(peak_anonymous "${command[@]}" -o out.slt)
        echo "$combination: planned $plan, seen $peak"
        [ -z "$SLT_TEST_PRESET" ] || printf '# %s\t%s\t%s\n' "$combination" "$plan" "$peak" >&3
        [ "$peak" -gt $((plan / 2)) ]
        [ "$peak" -le $((plan + plan / 20 + 48000000)) ]
    done
}

@test "a run does not go on with data of the same size that has another order" {
    make_text text
    slt-tokenize --tokenizer "$DATA/spm.model" --document line -o one.tok text
    slt-tokenize --tokenizer "$DATA/spm.model" --document line --shuffle 9 -o two.tok text
    run=(slt-train --batch 4 --seq 32 --steps 4 --checkpoint-every 2 --resume -o o.slt)
    "${run[@]}" --data one.tok "$DATA/init.slt"
    run "${run[@]}" --data two.tok "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"the data of 'o-2.slt' differ: sha256"* ]]
    # Joined files are told apart by their order, too.
    cp one.tok j-1.tok && cp two.tok j-2.tok
    run=(slt-train --batch 4 --seq 32 --steps 4 --checkpoint-every 2 --resume -o j.slt --data 'j-*.tok')
    "${run[@]}" "$DATA/init.slt"
    mv j-1.tok j-3.tok
    run "${run[@]}" "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"differ: sha256"* ]]
}

@test "a thousand token files are mapped with few descriptors" {
    mkdir many
    for ((i = 1000; i < 2000; i++)); do ln -s "$DATA/valid.tok" many/$i.tok; done
    (ulimit -n 50 && slt-train --batch 4 --seq 32 --steps 2 -o m.slt --data 'many/*.tok' "$DATA/init.slt")
}

@test "sequences longer than the model's positions are said, and what is written has as many" {
    sed 's/"vocab/"max_position_embeddings": 20, "vocab/' "$DATA/tiny.json" >short.json
    slt-init --config short.json --tokenizer "$DATA/spm.model" --rank 8 -o short.slt
    positions() { slt-info "$1" | value_of config.max_position_embeddings; }
    said="--seq 32 goes beyond the 20 positions that the model was made for"
    run=(slt-train "${TRAIN[@]}" --steps 6 --checkpoint-every 2 --checkpoint s --resume -o m.slt)
    "${run[@]}" short.slt 2>err
    [ "$(grep -cF -- "$said" err)" -eq 1 ]
    [ "$(positions short.slt) $(positions m.slt) $(positions s-4.slt)" = "20 32 32" ]
    # The run is known again, by its result, by a state, and by one that has the old number.
    cp m.slt whole.slt
    "${run[@]}" short.slt 2>err
    grep -q 'nothing is left to do' err
    mkdir -p old && tar -xf s-4.slt -C old
    sed -i 's/"max_position_embeddings": 32/"max_position_embeddings": 20/' old/config.json
    # shellcheck disable=SC2046 # names without blanks
    (cd old && sha256sum $(sed 's/^[0-9a-f]*  //' MANIFEST.sha256) >sums && mv sums MANIFEST.sha256 &&
        tar --format=pax -cf ../old.slt $(tar -tf ../s-4.slt))
    for state in s-4.slt old.slt; do
        rm -f m.slt
        cp $state keep && rm s-*.slt && mv keep s-4.slt
        "${run[@]}" short.slt 2>err
        grep -q 'resuming after step 4' err
        cmp m.slt whole.slt
    done
    # Nothing is said where they suffice, or with -q; slt-eval and slt-plan say it as well.
    slt-train "${TRAIN[@]}" --steps 2 -o next.slt m.slt 2>err
    [ "$(grep -c beyond err)" -eq 0 ]
    slt-train -q "${TRAIN[@]}" --steps 2 -o next.slt short.slt 2>err
    [ ! -s err ]
    slt-eval --data "$DATA/valid.tok" --seq 32 --limit 100 short.slt 2>err >a
    [ "$(cat err)" = "slt-eval: $said" ]
    slt-eval --data "$DATA/valid.tok" --seq 32 --limit 100 m.slt 2>err >a
    [ ! -s err ]
    slt-plan --config short.json --seq 32 2>err >a
    [ "$(cat err)" = "slt-plan: $said" ]
    slt-plan --config short.json --seq 20 2>err | diff - <(slt-plan --config "$DATA/tiny.json" --seq 20)
    [ ! -s err ]
}
