# Several processes, each on a GPU of its own: the backend under tests/cuda-emulation, with an NCCL of shared memory beside it.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    mkdir bin
    cp -a "$BIN"/slt-{init,train,eval} "$BIN"/libslt.so* "$BIN"/libslt-*mpi*.so "$BIN/emulation/libslt-cuda.so" bin
    for method in full relora sltrain; do
        slt-init --config tiny.json --tokenizer spm.model --method $method $([ $method = full ] || echo --rank 8) --seed 3 \
            -o $method.slt
    done
}

setup() {
    load common
    load mpi
    need openmpi
    [ -z "${SLT_TEST_CUDA-}" ] || skip "a real NCCL wants a real GPU for each rank"
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
    PATH=$DATA/bin:$PATH
    TRAIN=(slt-train --device cuda --data "$DATA/train.tok" --batch 8 --seq 32 --lr 1e-2)
    export LD_LIBRARY_PATH=$BIN/emulation/nccl SLT_EMULATION_DEVICES=4
}

losses() { sed -n 's/.*"loss":\([^,]*\),.*/\1/p' "$1"; }

# TOLERANCE MODEL OPTION...: 2 ranks, and 4 that share the optimizer's state, have the losses of one, but for rounding.
same_losses() {
    local n tolerance=$1 model=$2
    shift 2
    for n in 1 2 4; do
        on $n "${TRAIN[@]}" -q --steps 4 --metrics $n.jsonl $([ $n != 4 ] || echo --shard-state) "$@" -o $n.slt "$DATA/$model.slt"
    done
    for n in 2 4; do
        [ "$(losses $n.jsonl | wc -l)" = 4 ]
        paste <(losses 1.jsonl) <(losses $n.jsonl) | awk -v most="$tolerance" -v n=$n \
            '{ d = $1 > $2 ? $1 - $2 : $2 - $1; if (!(d <= most * $1)) { print n " ranks: " $0; bad = 1 } } END { exit bad }'
    done
}

@test "ranks on GPUs have the losses of one: dense matrices, clipping, factors and sparse values, 8-bit moments" {
    same_losses 1e-5 full --clip 0.5
    same_losses 1e-5 sltrain --optimizer adam8bit --clip 0.5
    same_losses 3e-4 full --precision bf16
}

@test "ranks on GPUs have the losses of one: micro-batches, updates layer by layer, merges, factors split anew" {
    same_losses 1e-5 sltrain --micro-batch 1 --recompute block
    same_losses 1e-5 sltrain --per-layer --clip 0.5
    same_losses 1e-5 relora --relora-every 2 --schedule jagged --relora-warmup 1
    same_losses 3e-4 sltrain --precision bf16-sr --optimizer spectral --refactor-every 2
}

@test "ranks on GPUs have the losses of one: GaLore, whose projectors all ranks share" {
    same_losses 1e-5 full --optimizer galore --galore-rank 8 --galore-gap 2 --micro-batch 2
    same_losses 1e-5 full --optimizer galore8bit --galore-rank 8 --galore-gap 3 --micro-batch 2 --per-layer
}

@test "as many ranks give the same bytes again, recorded or not, and a run goes on with more or fewer" {
    on 2 "${TRAIN[@]}" -q --steps 6 --clip 0.5 --metrics whole.jsonl -o whole.slt "$DATA/sltrain.slt"
    on 2 "${TRAIN[@]}" -q --steps 6 --clip 0.5 --eager -o eager.slt "$DATA/sltrain.slt"
    cmp whole.slt eager.slt
    run=("${TRAIN[@]}" -q --steps 6 --clip 0.5 --metrics parts.jsonl --checkpoint p --checkpoint-every 2 --resume -o parts.slt
        "$DATA/sltrain.slt")
    for n in 4 1; do
        on $n "${run[@]}" --max-time 0.001s || [ $? -eq 1 ] # a step each time
        [ ! -e parts.slt ]
    done
    [ "$(losses parts.jsonl | wc -l)" = 2 ]
    on 2 "${run[@]}" --shard-state
    paste <(losses whole.jsonl) <(losses parts.jsonl) | awk '{ d = $1 - $2; if (d * d > 1e-10) exit 1 } END { exit NR != 6 }'
}

@test "each rank has a GPU of its own, and says which" {
    on 2 "${TRAIN[@]}" -v --steps 1 -o s.slt "$DATA/full.slt" 2>log
    grep "rank 1: host .*, GPU, .*, GPU-01000000-0000-0000-0000-000000000000" log
    run on 2 "${TRAIN[@]}" -q --steps 1 --device cuda:3 -o s.slt "$DATA/full.slt"
    [ $status = 1 ]
    [[ $output == *"ranks 0 and 1 both have GPU-03000000-0000-0000-0000-000000000000 of host "* ]]
    SLT_EMULATION_DEVICES=1 run on 2 "${TRAIN[@]}" -q --steps 1 -o s.slt "$DATA/full.slt"
    [ $status = 1 ]
    [[ $output == *"ranks 0 and 1 both have GPU-"* ]]
    run mpirun.openmpi -q -n 1 "${TRAIN[@]}" -q --steps 1 -o s.slt "$DATA/full.slt" : -n 1 "${TRAIN[@]}" --device cpu -q --steps 1 \
        -o s.slt "$DATA/full.slt"
    [ $status = 1 ]
    [[ $output == *"rank 1 on host "*": it computes with CPU, "*" and rank 0 with GPU, "* ]]
    run on 1 "${TRAIN[@]}" -q --steps 1 --device cuda:4 -o s.slt "$DATA/full.slt"
    [[ $output == *"cannot use device 'cuda:4': the last GPU here is number 3"* ]]
    run on 1 "${TRAIN[@]}" -q --steps 1 --device cuda:one -o s.slt "$DATA/full.slt"
    [[ $output == *"'cuda:one' names no GPU"* ]]
}

@test "each rank is a group of sequences on GPUs, and where there should be more it is said" {
    for n in 1 2; do
        on $n "${TRAIN[@]}" --steps 1 --reduce-groups 4 -o s.slt "$DATA/full.slt" 2>log
        grep "4 groups of sequences cannot be added on $n ranks\? in the order of one rank" log
    done
}

@test "where NCCL is missing or too old, the sentence says so" {
    rm -rf none && mkdir none
    LD_LIBRARY_PATH= CUDA_HOME=$PWD/none run env HOME="$PWD" SLT_EMULATION_DEVICES=2 mpirun.openmpi -q -n 2 \
        "${TRAIN[@]}" -q --steps 1 -o s.slt "$DATA/full.slt"
    # A machine that has CUDA's own finds that one, which has no GPU to work on.
    [ $status = 1 ]
    [[ $output == *NCCL* ]]
    echo 'int ncclGetErrorString;' | cc -shared -x c -o none/libnccl.so.2 -
    LD_LIBRARY_PATH=$PWD/none run on 2 "${TRAIN[@]}" -q --steps 1 -o s.slt "$DATA/full.slt"
    [ $status = 1 ]
    [[ $output == *"NCCL has no nccl"*": it is too old"* ]]
}

@test "a rank whose GPU fails, at any moment, ends the job with its own sentence" {
    for moment in 3 39 40 41 44; do
        run mpirun.openmpi -q -n 1 "${TRAIN[@]}" -q --steps 9 -o s.slt "$DATA/full.slt" : \
            -n 1 env SLT_EMULATION_BREAKS=$moment "${TRAIN[@]}" -q --steps 9 -o s.slt "$DATA/full.slt"
        [ $status = 1 ]
        [ "$(grep -c "^slt-train: rank 1 on host .*: the GPU failed in .*: unspecified launch failure" <<<"$output")" = 1 ]
        [ ! -e s.slt ]
    done
}

@test "a rank that hangs while others wait for it on their GPUs ends the job in time" {
    hang
}
