# What lies under a run's prefix: whose states they are, what is never touched, and what a stop leaves.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    slt-init --config tiny.json --tokenizer spm.model --method sltrain --rank 8 --seed 3 -o init.slt
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
    TRAIN=(slt-train --data "$DATA/train.tok" --batch 4 --seq 32 --warmup 2 --lr 1e-2)
}

# Metrics without what the clock says.
timeless() {
    sed -E 's/"(step_seconds|data_seconds|tokens_per_second|valid_seconds|peak_resident_bytes)":[^,}]*//g' "$1"
}

# DIRECTORY FILE: a checkpoint of the unpacked one, with a manifest of what is there now.
repack() {
    local members
    members=$(cut -c 67- "$1/MANIFEST.sha256")
    # shellcheck disable=SC2086 # several members
    (cd "$1" && sha256sum $members >MANIFEST.sha256 && tar --format=pax -cf ../"$2" $members MANIFEST.sha256)
}

@test "files of a state's name that are no states of the run stay as they are" {
    cp "$DATA/init.slt" w-1.slt
    cp "$DATA/init.slt" w-4.slt
    echo "my notes" >w-2.slt
    sha256sum w-1.slt w-2.slt w-4.slt >sums
    "${TRAIN[@]}" --steps 9 --checkpoint-every 2 --keep 1 -o w.slt "$DATA/init.slt"
    sha256sum -c sums
    # The newest state stays, the others of the run are gone; that of step 4 waited for step 5.
    [ "$(echo w-*.slt)" = "w-1.slt w-2.slt w-4.slt w-8.slt" ]
    rm w.slt
    "${TRAIN[@]}" --steps 9 --checkpoint-every 2 --keep 9 -o w.slt "$DATA/init.slt"
    sha256sum -c sums
    [ -e w-3.slt ]
    [ -e w-5.slt ]
}

@test "a start beside states of another run is refused, and names one and what differs" {
    "${TRAIN[@]}" --steps 9 --checkpoint-every 4 --checkpoint s -o a.slt "$DATA/init.slt"
    sha256sum s-4.slt s-8.slt >sums
    for resume in "" --resume; do
        # shellcheck disable=SC2086 # nothing or one word
        run "${TRAIN[@]}" --steps 9 --seed 2 --checkpoint-every 1 --checkpoint s $resume -o b.slt "$DATA/init.slt"
        [ "$status" -eq 2 ]
        [[ $output == *"2 states of another run"*"s-8.slt"*"--seed (2, was 1)"* ]]
        sha256sum -c sums
        [ ! -e b.slt ]
        [ "$(echo s*)" = "s-4.slt s-8.slt sums" ]
    done
    # Another model, and other data.
    slt-init --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --method sltrain --rank 8 --seed 4 -o other.slt
    run "${TRAIN[@]}" --steps 9 --checkpoint s --resume -o b.slt other.slt
    [ "$status" -eq 2 ]
    [[ $output == *"s-8.slt' started from another model"* ]]
    run slt-train --data "$DATA/valid.tok" --batch 4 --seq 32 --warmup 2 --lr 1e-2 --steps 9 --checkpoint s -o b.slt \
        "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"the data of 's-8.slt' differ"* ]]
    sha256sum -c sums
}

@test "a fresh start keeps later states of the same run and its own, and --resume goes on from the latest" {
    "${TRAIN[@]}" --steps 9 --checkpoint-every 4 --checkpoint s -o a.slt "$DATA/init.slt"
    # Stopped at once, in its first steps.
    run "${TRAIN[@]}" --steps 9 --checkpoint s --keep 1 --max-time 0.001 -o b.slt "$DATA/init.slt"
    [ "$status" -eq 1 ]
    compgen -G 's-[0-3].slt'
    [ "$(echo s-[4-9].slt)" = "s-4.slt s-8.slt" ]
    run "${TRAIN[@]}" --steps 9 --checkpoint s --resume -o b.slt "$DATA/init.slt"
    [ "$status" -eq 0 ]
    [[ $output == *"resuming after step 8"* ]]
    cmp a.slt b.slt
}

@test "a file to validate on must fit the model, and be there at the start" {
    # A tokenizer of another size, then another one of the same size.
    make_text text
    slt-tokenize --train-tokenizer large.model --vocab-size 700 --document blank -o large.tok text
    sed 's/struct/zebra/g' text >other
    slt-tokenize --train-tokenizer other.model --vocab-size 512 --document blank -o other.tok other
    for file in large.tok other.tok; do
        run "${TRAIN[@]}" --steps 3 --valid "$file" --metrics m.jsonl -o m.slt "$DATA/init.slt"
        [ "$status" -eq 2 ]
        [[ $output == *"$file"* ]]
        [ ! -e m.slt ]
        [ ! -e m.jsonl ]
    done
    [[ $output == *"another tokenizer"* ]]
    run "${TRAIN[@]}" --steps 3 --valid absent.tok --metrics m.jsonl -o m.slt "$DATA/init.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"absent.tok"* ]]
    [ ! -e m.jsonl ]
    # What is no plain file is opened anew for each validation.
    zstd -q "$DATA/valid.tok" -o valid.zst
    "${TRAIN[@]}" --steps 4 --valid "$DATA/valid.tok" --valid-every 2 --metrics plain.jsonl -o m.slt "$DATA/init.slt"
    "${TRAIN[@]}" --steps 4 --valid valid.zst --valid-every 2 --metrics zst.jsonl -o z.slt "$DATA/init.slt"
    [ "$(grep -c '"valid"' plain.jsonl)" -eq 2 ]
    diff <(timeless plain.jsonl) <(timeless zst.jsonl)
}

@test "a validation that a signal interrupts is done when the run goes on" {
    run=("${TRAIN[@]}" --steps 6 --valid long.tok --valid-every 3)
    # Long enough to be met by the signal.
    for ((k = 0; k < 4; k++)); do make_text part && cat part; done >text
    slt-tokenize --tokenizer "$DATA/spm.model" --document blank -o long.tok text
    "${run[@]}" --metrics straight.jsonl -o straight.slt "$DATA/init.slt"
    for step in 3 6; do
        rm -f m*
        "${run[@]}" --metrics m.jsonl -o m.slt "$DATA/init.slt" &
        wait_for "\"train\",\"step\":$step," m.jsonl
        kill -TERM $!
        status=0
        wait $! || status=$?
        [ "$status" -eq 143 ]
        [ ! -e m.slt ]
        # It was met in the validation.
        [ "$(grep -c '"valid"' m.jsonl)" -eq $((step / 3 - 1)) ]
        [ "$(echo m-*.slt)" = m-$step.slt ]
        "${run[@]}" --resume --metrics m.jsonl -o m.slt "$DATA/init.slt"
        cmp m.slt straight.slt
        diff <(timeless m.jsonl) <(timeless straight.jsonl)
    done
}

@test "a signal while the result is written leaves the state of the last step" {
    run=("${TRAIN[@]}" --steps 4 --checkpoint s)
    "${run[@]}" --metrics straight.jsonl -o straight.slt "$DATA/init.slt"
    # A reader that takes nothing: the model is larger than a pipe holds.
    mkfifo out
    sleep 60 <out &
    reader=$!
    "${run[@]}" --metrics m.jsonl -o out "$DATA/init.slt" &
    pid=$!
    wait_for '"step":4,' m.jsonl
    sleep 0.3
    kill -TERM $pid
    status=0
    wait $pid || status=$?
    kill $reader
    [ "$status" -eq 143 ]
    slt-info --check s-4.slt
    "${run[@]}" --resume --metrics m.jsonl -o m.slt "$DATA/init.slt"
    cmp m.slt straight.slt
    diff <(timeless m.jsonl) <(timeless straight.jsonl)
}

@test "a result that cannot be written leaves the state of the last step" {
    run "${TRAIN[@]}" --steps 4 --checkpoint s -o /dev/full "$DATA/init.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"No space left on device"* ]]
    slt-info --check s-4.slt
}

@test "a prefix that cannot be written to is found out before the first step" {
    run "${TRAIN[@]}" --steps 3 --checkpoint absent/s --metrics m.jsonl -o m.slt "$DATA/init.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"absent/s"*"No such file or directory"* ]]
    [ ! -e m.jsonl ]
    [ ! -e m.slt ]
}

@test "two runs do not share a prefix" {
    "${TRAIN[@]}" --steps 100000 --checkpoint s --metrics a.jsonl -o a.slt "$DATA/init.slt" &
    pid=$!
    wait_for '"step":3,' a.jsonl
    run "${TRAIN[@]}" --steps 3 --checkpoint s --metrics a.jsonl -o b.slt "$DATA/init.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"another run (process $pid) has the prefix 's'"* ]]
    [ -e s.slt-lock ]
    # A kill leaves the file and no lock.
    kill -KILL $pid
    wait $pid || true
    grep -q '"step":3,' a.jsonl
    [ -e s.slt-lock ]
    "${TRAIN[@]}" --steps 3 --checkpoint s -o b.slt "$DATA/init.slt"
    [ ! -e s.slt-lock ]
    # What is no lock is not taken for one.
    echo precious >mine
    ln -s mine s.slt-lock
    run "${TRAIN[@]}" --steps 3 --checkpoint s -o b.slt "$DATA/init.slt"
    [ "$status" -eq 1 ]
    rm s.slt-lock
    cp mine s.slt-lock
    run "${TRAIN[@]}" --steps 3 --checkpoint s -o b.slt "$DATA/init.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"'s.slt-lock' is no lock"* ]]
    cmp mine s.slt-lock
    [ "$(cat mine)" = precious ]
}

@test "a finished run that is started again with --resume ends at once and changes nothing" {
    run=("${TRAIN[@]}" --steps 9 --checkpoint-every 4 --keep 1 --valid "$DATA/valid.tok" --metrics m.jsonl -o m.slt --resume)
    "${run[@]}" "$DATA/init.slt"
    rm m-8.slt
    sha256sum ./* >sums
    written=$(stat -c '%y %i' m.slt)
    run "${run[@]}" "$DATA/init.slt"
    [ "$status" -eq 0 ]
    [[ $output == *"'m.slt' is the result of this run"* ]]
    sha256sum -c sums
    [ "$(stat -c '%y %i' m.slt)" = "$written" ]
    # The result of other options is none of this run.
    run "${TRAIN[@]}" --steps 9 --seed 7 --resume -o m.slt "$DATA/init.slt"
    [ "$status" -eq 0 ]
    [[ $output != *"result of this run"* ]]
}

@test "a key in config.json that slt does not know keeps no run from resuming" {
    mkdir model
    tar -xf "$DATA/init.slt" -C model
    sed -i '0,/{/s//{\n  "their_own_key": 1,/' model/config.json
    repack model keyed.slt
    slt-info --check keyed.slt
    run=("${TRAIN[@]}" --steps 6 --checkpoint-every 4 --checkpoint s)
    "${run[@]}" -o a.slt keyed.slt
    run "${run[@]}" --resume -o b.slt keyed.slt
    [ "$status" -eq 0 ]
    [[ $output == *"resuming after step 4"* ]]
    cmp a.slt b.slt
}

@test "a run of GaLore with a very long gap is planned at once" {
    slt-init --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --method full --seed 3 -o full.slt
    for gap in 200 1G 900T; do
        timeout 20 "${TRAIN[@]}" --steps 3 --optimizer galore --galore-gap $gap --dry-run full.slt >plan
        grep -q "^gradients" plan
    done
}

@test "a signal while a state is read ends the run as a signal does" {
    slt-init --preset 20m --method full --tokenizer "$DATA/spm.model" -o m.slt
    run=("${TRAIN[@]}" --steps 100000 --checkpoint s -o r.slt)
    run "${run[@]}" --max-time 0.001 m.slt
    [ "$status" -eq 1 ]
    for ((k = 0; k < 12; k++)); do
        "${run[@]}" --resume m.slt &
        sleep 0.0$((k % 6 + 3))
        kill -TERM $! 2>/dev/null || true
        status=0
        wait $! || status=$?
        [ "$status" -eq 143 ]
    done
    compgen -G 's-*.slt'
    [ ! -e s.slt-lock ]
}

@test "a validation that was interrupted is in the metrics once, however often the run is killed after it" {
    for ((k = 0; k < 4; k++)); do make_text part && cat part; done >text
    slt-tokenize --tokenizer "$DATA/spm.model" --document blank -o long.tok text
    run=("${TRAIN[@]}" --steps 6 --valid long.tok --valid-every 3)
    "${run[@]}" --metrics straight.jsonl -o straight.slt "$DATA/init.slt"
    "${run[@]}" --metrics m.jsonl -o m.slt "$DATA/init.slt" &
    wait_for '"train","step":3,' m.jsonl
    kill -TERM $!
    wait $! || true
    [ "$(grep -c '"valid"' m.jsonl)" -eq 0 ]
    for k in 1 2; do
        "${run[@]}" --resume --metrics m.jsonl -o m.slt "$DATA/init.slt" &
        wait_for '"train","step":4,' m.jsonl
        kill -KILL $!
        wait $! || true
        [ "$(grep -c '"valid"' m.jsonl)" -ge 1 ]
        sed -i '/"step":4,/,$d' m.jsonl
    done
    "${run[@]}" --resume --metrics m.jsonl -o m.slt "$DATA/init.slt"
    cmp m.slt straight.slt
    diff <(timeless m.jsonl) <(timeless straight.jsonl)
}

@test "a state that lies where the result belongs is no result" {
    run=("${TRAIN[@]}" --steps 9 --checkpoint-every 4 --checkpoint s)
    "${run[@]}" -o straight.slt "$DATA/init.slt"
    cp s-4.slt m.slt
    run "${run[@]}" --resume -o m.slt "$DATA/init.slt"
    [ "$status" -eq 0 ]
    [[ $output == *"resuming after step 8"* ]]
    cmp m.slt straight.slt
    run "${run[@]}" --resume -o s-3.slt "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"'s-3.slt' has the name of a state"* ]]
    run "${run[@]}" --resume -o "$PWD/s-3.slt" "$DATA/init.slt"
    [ "$status" -eq 2 ]
}

@test "a result does not take the place of what is trained or validated on, or resumed from" {
    cp "$DATA/train.tok" t.tok
    cp "$DATA/valid.tok" v.tok
    cp "$DATA/init.slt" i.slt
    sha256sum ./* >../sums
    train() { slt-train --batch 4 --seq 32 --steps 3 "$@"; }
    for wrong in "--data t.tok -o t.tok i.slt" "--data *.tok -o v.tok i.slt" "--data t.tok --valid v.tok -o v.tok i.slt" \
        "--data t.tok --valid v.tok --metrics v.tok -o m.slt i.slt" "--data t.tok --resume -o i.slt i.slt" \
        "--data t.tok --checkpoint ./ -o m.slt i.slt" "--data t.tok --checkpoint-every 0s -o m.slt i.slt"; do
        set -f
        # shellcheck disable=SC2086 # several words
        run train $wrong
        set +f
        echo "$wrong: $output"
        [ "$status" -eq 2 ]
    done
    run train --data t.tok --checkpoint '' -o m.slt i.slt
    [ "$status" -eq 2 ]
    sha256sum -c ../sums
}

@test "a result that cannot be published, and a validation that fails, leave a state" {
    mkdir q st
    "${TRAIN[@]}" --steps 300 -o straight.slt "$DATA/init.slt"
    "${TRAIN[@]}" --steps 300 --checkpoint st/s --metrics m.jsonl -o q/m.slt "$DATA/init.slt" 2>err &
    wait_for '"step":3,' m.jsonl
    mv q moved
    status=0
    wait $! || status=$?
    [ "$status" -eq 1 ]
    grep -q "q/m.slt" err
    slt-info --check st/s-300.slt
    "${TRAIN[@]}" --steps 300 --checkpoint st/s --resume -o m.slt "$DATA/init.slt"
    cmp m.slt straight.slt
    # A validation file that goes away; states where there is no room any more.
    zstd -q "$DATA/valid.tok" -o v.zst
    "${TRAIN[@]}" --steps 300 --valid v.zst --valid-every 50 --checkpoint st/v --metrics v.jsonl -o v.slt "$DATA/init.slt" 2>err &
    wait_for '"valid","step":50,' v.jsonl
    rm v.zst
    status=0
    wait $! || status=$?
    [ "$status" -eq 1 ]
    grep -q "v.zst" err
    compgen -G 'st/v-*.slt'
    mkdir gone
    "${TRAIN[@]}" --steps 300 --checkpoint gone/x --checkpoint-every 2 --metrics x.jsonl -o x.slt "$DATA/init.slt" 2>err &
    wait_for '"step":3,' x.jsonl
    mv gone left
    wait $!
    grep -q "state of step .* is not written: .*; going on" err
    cmp x.slt straight.slt
    # What can be read once is validated on once.
    run "${TRAIN[@]}" --steps 3 --valid <(cat "$DATA/valid.tok") --valid-every 1 -o y.slt "$DATA/init.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"can be validated on once"* ]]
    "${TRAIN[@]}" --steps 3 --valid <(cat "$DATA/valid.tok") -o y.slt "$DATA/init.slt"
}

@test "only what is a state of its step counts: no copies, damaged files, other spellings, or leftovers" {
    run=("${TRAIN[@]}" --steps 30 --checkpoint s -o m.slt)
    "${run[@]}" --checkpoint-every 10 --keep 9 "$DATA/init.slt"
    mv m.slt straight.slt
    mv s-20.slt s-0020.slt
    cp s-10.slt s-29.slt
    head -c 20000 "$DATA/init.slt" >s-25.slt
    mkfifo s-24.slt
    : >s-23.slt
    ln -s s-10.slt s-22.slt
    : >.s-7.slt.999999999-1.tmp
    : >.s-7.slt.unrelated
    : >.s-7.slt.$$-1.tmp
    sha256sum s-0020.slt s-29.slt s-25.slt s-23.slt >sums
    run timeout 60 "${run[@]}" --checkpoint-every 1 --keep 1 --resume "$DATA/init.slt"
    [ "$status" -eq 0 ]
    [[ $output == *"'s-29.slt' is the state of step 10"* ]]
    [[ $output == *"'s-24.slt' is no file"* ]]
    [[ $output == *"s-25.slt"* ]]
    [[ $output == *"resuming after step 10"* ]]
    cmp m.slt straight.slt
    sha256sum -c sums
    [ -p s-24.slt ]
    [ -L s-22.slt ]
    [ ! -e .s-7.slt.999999999-1.tmp ]
    [ -e .s-7.slt.unrelated ]
    # Of a process that is there.
    [ -e .s-7.slt.$$-1.tmp ]
}

@test "metrics are not written into a file of something else" {
    "${TRAIN[@]}" --steps 9 --checkpoint-every 4 --checkpoint s -o a.slt "$DATA/init.slt"
    echo "my thesis" >thesis.txt
    run "${TRAIN[@]}" --steps 9 --checkpoint s --resume --metrics thesis.txt -o m.slt "$DATA/init.slt"
    [ "$status" -eq 0 ]
    [[ $output == *"thesis.txt"*"something else"* ]]
    [ "$(cat thesis.txt)" = "my thesis" ]
    cmp a.slt m.slt
}
