# The number of threads is the one asked for, in everything that a program does.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    command -v cc >/dev/null || skip "no compiler"
    # A program that starts a thread ends at once, with a status that no program has.
    printf '%s\n' '#include <unistd.h>' 'int pthread_create() { _exit(77); }' >shim.c
    cc -shared -fPIC -o shim.so shim.c
    make_small_data
    slt-init --preset nano --tokenizer spm.model --method full -o full.slt
    slt-quantize -o int8.slt full.slt
}

setup() {
    load common
    cd "$BATS_FILE_TMPDIR"
    export OMP_NUM_THREADS=4
}

single() { # COMMAND...: that it starts no thread with --threads 1, and does without
    local status=0
    env LD_PRELOAD="$PWD/shim.so" "$@" --threads 0 >out 2>err || status=$?
    echo "$1 --threads 0: $status"
    [ "$status" -eq 77 ]
    status=0
    env LD_PRELOAD="$PWD/shim.so" "$@" --threads 1 >out 2>err || status=$?
    echo "$1 --threads 1: $status, $(head -n 2 err)"
    [ "$status" -eq 0 ]
}

@test "a new model is drawn by the threads asked for, to the same bytes" {
    single slt-init --preset nano --method full -o a.slt
    slt-init --preset nano --method full --threads 3 -o b.slt
    cmp a.slt b.slt
}

@test "a model is quantized by the threads asked for, to the same bytes" {
    single slt-quantize -o a.slt full.slt
    cmp a.slt int8.slt
    single slt-quantize --dequantize -o a.slt int8.slt
}

@test "a quantized model is read by the threads asked for" {
    single slt-eval --data valid.tok --seq 16 --limit 100 --device cpu int8.slt
    single slt-generate --prompt a --max-tokens 3 --device cpu int8.slt
    single slt-init --from int8.slt --method full -o a.slt
}

@test "supports are drawn by the threads asked for" {
    slt-init --preset nano --tokenizer spm.model --method sltrain -o sltrain.slt
    # What one thread computes it does not share: only the drawing could start others.
    status=0
    env LD_PRELOAD="$PWD/shim.so" slt-train --data train.tok --steps 1 --batch 1 --seq 16 --threads 1 --device cpu \
        --no-provenance -o one.slt sltrain.slt || status=$?
    [ "$status" -eq 0 ]
    slt-train --data train.tok --steps 1 --batch 1 --seq 16 --threads 3 --device cpu --no-provenance -o three.slt sltrain.slt
    cmp one.slt three.slt
}

@test "text is encoded by the threads asked for" {
    single slt-tokenize --tokenizer spm.model --document blank -o a.tok text
}
