# Several processes that share a run by MPI: the same bytes as one, one voice, and an end when a rank is lost.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    for method in full lowrank relora sltrain; do
        slt-init --config tiny.json --tokenizer spm.model --method $method \
            $([ $method = full ] || echo --rank 8) --seed 3 -o $method.slt
    done
}

# Two hosts: network namespaces with a cable between them, each with a name of its own.
teardown() {
    [ -z "${HOSTS-}" ] || for host in ${HOSTS}a ${HOSTS}b; do ip netns del "$host"; done
}

make_hosts() {
    [ "$(id -u)" = 0 ] && command -v ip >/dev/null || skip "network namespaces need root and ip"
    ip netns add "slt${$}a" || skip "this machine makes no network namespaces"
    HOSTS=slt$$
    ip netns add ${HOSTS}b
    ip link add slta netns ${HOSTS}a type veth peer name sltb netns ${HOSTS}b
    ip -n ${HOSTS}a addr add 10.99.7.1/24 dev slta
    ip -n ${HOSTS}b addr add 10.99.7.2/24 dev sltb
    ip -n ${HOSTS}a link set lo up
    ip -n ${HOSTS}b link set lo up
    ip -n ${HOSTS}a link set slta up
    ip -n ${HOSTS}b link set sltb up
    # How long TCP tries to reach a host that is cut off decides when mpirun gives it up: 15 minutes by default.
    for host in ${HOSTS}a ${HOSTS}b; do
        ip netns exec $host sh -c 'echo 4 >/proc/sys/net/ipv4/tcp_retries2'
    done
    # What mpirun starts its helper on the other host by, as it would ssh.
    printf '%s\n' '#!/bin/bash' 'shift' "exec ip netns exec ${HOSTS}b unshare -u bash -c 'hostname hostb; exec bash -c \"\$*\"' - \"\$@\"" >agent
    chmod +x agent
}

# COMMAND...: one rank on each host, over TCP. mpirun gives up on a host that is cut off after a few seconds.
on_hosts() {
    local keepalive=(--mca oob_tcp_keepalive_time 5 --mca oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3)
    env -u OMPI_MCA_plm ip netns exec ${HOSTS}a unshare -u bash -c 'hostname hosta; exec "$@"' - \
        mpirun.openmpi -q --mca plm_rsh_agent "$PWD/agent" --mca btl self,tcp --mca btl_tcp_if_include 10.99.7.0/24 \
        --mca oob_tcp_if_include 10.99.7.0/24 "${keepalive[@]}" --host 10.99.7.1:1,10.99.7.2:1 -n 2 "$@"
}

setup() {
    load common
    load mpi
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
    TRAIN=(slt-train --data "$DATA/train.tok" --batch 8 --seq 32 --lr 1e-2)
}

# MODEL OPTION...: the same bytes on 1, 2 and 4 ranks.
same_on_ranks() {
    local n model=$1
    shift
    for n in 1 2 4; do
        on $n "${TRAIN[@]}" -q --steps 8 --reduce-groups 4 --valid "$DATA/valid.tok" --valid-limit 4K --keep-state \
            --metrics $n.jsonl "$@" -o $n.slt "$DATA/$model.slt"
    done
    on 4 "${TRAIN[@]}" -q --steps 8 --reduce-groups 4 --keep-state --shard-state "$@" -o s.slt "$DATA/$model.slt"
    cmp 1.slt 2.slt
    cmp 1.slt 4.slt
    cmp 1.slt s.slt
    [ "$(grep -o '"valid_loss":[^,]*' 1.jsonl)" = "$(grep -o '"valid_loss":[^,]*' 4.jsonl)" ]
    [ "$(grep -o '"loss":[^,]*,' 1.jsonl)" = "$(grep -o '"loss":[^,]*,' 4.jsonl)" ]
}

@test "1, 2 and 4 ranks give the same bytes: dense matrices, clipping, activations worked out again" {
    need openmpi
    same_on_ranks full --clip 0.5 --recompute block
}

@test "1, 2 and 4 ranks give the same bytes: factors, and merges of ReLoRA" {
    need openmpi
    same_on_ranks lowrank --weight-decay 0.1
    same_on_ranks relora --relora-every 3 --schedule jagged --relora-warmup 1
}

@test "1, 2 and 4 ranks give the same bytes: sparse plus low-rank, 8-bit moments, BF16 with random rounding" {
    need openmpi
    same_on_ranks sltrain --optimizer adam8bit --clip 0.5
    same_on_ranks sltrain --precision bf16-sr --optimizer spectral --refactor-every 3
}

@test "1, 2 and 4 ranks give the same bytes: GaLore, whose projectors all ranks share" {
    need openmpi
    same_on_ranks full --optimizer galore --galore-rank 8 --galore-gap 3
    same_on_ranks full --optimizer galore8bit --galore-rank 8 --galore-gap 3 --galore-no-stagger --clip 0.5
}

@test "1, 2 and 4 ranks give the same bytes: updates layer by layer" {
    need openmpi
    same_on_ranks sltrain --per-layer --clip 0.5
    same_on_ranks full --per-layer --optimizer galore8bit --galore-rank 8 --galore-gap 3
}

@test "MPICH gives the bytes of Open MPI" {
    need openmpi
    need mpich
    on 2 "${TRAIN[@]}" -q --steps 4 --clip 0.5 -o o.slt "$DATA/sltrain.slt"
    mpirun.mpich -n 2 "${TRAIN[@]}" -v --steps 4 --clip 0.5 -o m.slt "$DATA/sltrain.slt" 2>log
    cmp o.slt m.slt
    grep "2 ranks by MPICH" log
    [ "$(grep -c "rank [01]: host .*, CPU, " log)" = 2 ]
}

@test "a run goes on with another number of ranks, to the bytes of one that was not stopped" {
    need openmpi
    run=("${TRAIN[@]}" -q --clip 0.5 --steps 9 --checkpoint-every 3 --keep 9 --resume)
    on 4 "${run[@]}" -o whole.slt "$DATA/sltrain.slt"
    # As many groups as there were ranks at first, whoever goes on.
    on 4 "${run[@]}" --max-time 0.001s -o r.slt "$DATA/sltrain.slt" || [ $? -eq 1 ]
    for n in 1 2 1; do
        on $n "${run[@]}" --max-time 0.001s -o r.slt "$DATA/sltrain.slt" || [ $? -eq 1 ]
    done
    [ -e r-4.slt ]
    on 2 "${run[@]}" -o r.slt "$DATA/sltrain.slt"
    cmp whole.slt r.slt
    cmp whole-6.slt r-6.slt
    # A finished run is left alone by all ranks.
    on 2 "${run[@]}" -o r.slt "$DATA/sltrain.slt"
    cmp whole.slt r.slt
    # Where groups cannot be kept, that is said.
    "${TRAIN[@]}" -q --steps 4 --checkpoint-every 2 -o one.slt "$DATA/sltrain.slt"
    rm one.slt
    on 2 "${TRAIN[@]}" --steps 4 --resume -o one.slt "$DATA/sltrain.slt" 2>log
    grep "1 groups of sequences cannot be added on 2 ranks in the order of one rank" log
}

@test "a state is one file, whoever has parts of it: shared, whole and shared again" {
    need openmpi
    for precision in bf16-master f32; do
        run=("${TRAIN[@]}" -q --clip 0.5 --precision $precision --optimizer adam8bit --adam-block 64 --steps 6 --checkpoint-every 2 --keep 9 --resume)
        "${run[@]}" --reduce-groups 4 -o whole.slt "$DATA/sltrain.slt"
        on 4 "${run[@]}" --reduce-groups 4 --shard-state --max-time 0.001s -o r.slt "$DATA/sltrain.slt" || [ $? -eq 1 ]
        "${run[@]}" --reduce-groups 4 --max-time 0.001s -o r.slt "$DATA/sltrain.slt" || [ $? -eq 1 ]
        on 2 "${run[@]}" --reduce-groups 4 --shard-state -o r.slt "$DATA/sltrain.slt"
        cmp whole.slt r.slt
        cmp whole-4.slt r-4.slt
        rm ./*.slt
    done
}

@test "a full disk ends all ranks with one sentence, also while others send what is written" {
    need openmpi
    for share in "" --shard-state; do
        start=$SECONDS
        # shellcheck disable=SC2086 # an option or none
        run on 4 "${TRAIN[@]}" $share --steps 2 --keep-state -o /dev/full "$DATA/full.slt"
        [ "$status" -ne 0 ]
        [ "$(grep -c "No space left on device" <<<"$output")" = 1 ]
        [ $((SECONDS - start)) -lt 20 ]
    done
}

@test "what all ranks find is said once, what one finds is said with its name" {
    need openmpi
    run on 3 "${TRAIN[@]}" --steps 2 -o a.slt "$DATA/sltrain.slt"
    [ "$(grep -c "a batch of 8 cannot be shared evenly by 3 ranks" <<<"$output")" = 1 ]
    run on 2 "${TRAIN[@]}" --steps 2 -o a.slt none.slt
    [ "$(grep -c "none.slt" <<<"$output")" = 1 ]
    run on 2 "${TRAIN[@]}" --no-such-option
    [ "$(grep -c "no-such-option" <<<"$output")" = 1 ]
    # Rank 1 has other files than rank 0.
    cat >each <<'EOF'
shift "$1"; [ "$OMPI_COMM_WORLD_RANK" = 0 ] && set -- "${@:1:$#-2}" "${@: -2:1}" || set -- "${@:1:$#-2}" "${@: -1}"
exec "$@"
EOF
    run on 2 bash each 1 "${TRAIN[@]}" --steps 2 -o a.slt "$DATA/sltrain.slt" none.slt
    [[ $output == *"slt-train: rank 1 on host $(hostname): cannot open 'none.slt'"* ]]
    [ "$(grep -c "none.slt" <<<"$output")" = 1 ]
    run on 2 bash each 1 "${TRAIN[@]}" --steps 2 -o a.slt "$DATA/sltrain.slt" "$DATA/full.slt"
    [[ $output == *"slt-train: rank 1 on host $(hostname): its model, data or options are not those of rank 0"* ]]
    # Wrong usage that only rank 1 comes to.
    run on 2 bash -c '[ "$OMPI_COMM_WORLD_RANK" = 0 ] || set -- "$1" --epochs 1 "${@:2}"; exec "$@"' - "${TRAIN[@]}" --steps 2 -o a.slt \
        "$DATA/sltrain.slt"
    [[ $output == *"slt-train: rank 1 on host $(hostname): give one of --steps, --tokens and --epochs"* ]]
    [ ! -e a.slt ]
    run on 2 "${TRAIN[@]}" --steps 2 -o a.slt - <"$DATA/sltrain.slt"
    [[ $output == *"2 ranks cannot all read standard input"* ]]
    run on 2 "${TRAIN[@]}" --steps 2 -o a.slt --reduce-groups 3 "$DATA/sltrain.slt"
    [[ $output == *"--reduce-groups 3 cannot be shared evenly by 2 ranks"* ]]
    run on 2 "${TRAIN[@]}" --ranks 4 --steps 2 -o a.slt "$DATA/sltrain.slt"
    [ "$(grep -c -e "--ranks 4, but there are 2" <<<"$output")" = 1 ]
}

@test "processes that are alone although the launcher started several are refused" {
    need openmpi
    SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0 run "${TRAIN[@]}" --steps 2 -o a.slt "$DATA/sltrain.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"srun started 4 processes, but each is alone for MPI"*"srun --mpi=pmix"* ]]
    # A batch script's number of tasks says nothing about this process.
    SLURM_NTASKS=4 SLURM_PROCID=0 "${TRAIN[@]}" -q --steps 2 -o a.slt "$DATA/sltrain.slt"
    "${TRAIN[@]}" -q --steps 2 -o b.slt "$DATA/sltrain.slt"
    cmp a.slt b.slt
    run "${TRAIN[@]}" --ranks 2 --steps 2 -o c.slt "$DATA/sltrain.slt"
    [[ $output == *"--ranks 2, but there is 1: 'mpirun -n 2' starts as many"* ]]
    mkdir bare
    cp "$BIN/slt-train" "$BIN"/libslt.so.? bare
    run bare/slt-train --ranks 2 --mpi openmpi --data "$DATA/train.tok" --steps 2 -o c.slt "$DATA/sltrain.slt"
    [ "$status" -eq 1 ]
    [[ $output == *"cannot use Open MPI (libslt-openmpi.so is not there; on Debian the package openmpi-bin)"* ]]
}

@test "slt-eval on several ranks prints what one prints" {
    need openmpi
    for layout in packed document; do
        for n in 1 2 3; do
            on $n slt-eval --layout $layout --protocol galore --batch 2 --seq 32 --data "$DATA/valid.tok" "$DATA/sltrain.slt" >$n
        done
        cmp 1 2
        cmp 1 3
    done
    # More ranks than batches.
    slt-eval --batch 2 --seq 32 --limit 100 --data "$DATA/valid.tok" "$DATA/sltrain.slt" >1
    on 4 slt-eval --batch 2 --seq 32 --limit 100 --data "$DATA/valid.tok" "$DATA/sltrain.slt" >4
    cmp 1 4
}

@test "the bytes that are sent are the planned ones" {
    need openmpi
    for model in "sltrain " "sltrain --shard-state --optimizer adam8bit" "full --optimizer galore --galore-rank 8 --galore-gap 99" "lowrank --per-layer"; do
        read -r file options <<<"$model"
        # shellcheck disable=SC2086 # several options
        on 4 "${TRAIN[@]}" -v $options --steps 3 -o a.slt "$DATA/$file.slt" 2>log
        # shellcheck disable=SC2086
        planned=$(slt-plan --config "$DATA/tiny.json" --method $file $([ $file = full ] || echo --rank 8) $options --batch 8 --seq 32 \
            --ranks 4 | value_of sent_bytes_per_step)
        [ "$planned" -gt 0 ]
        grep "slt-train: $((3 * planned)) bytes were sent between ranks in 3 steps" log
    done
}

@test "a signal to any rank stops all of them with one state" {
    need openmpi
    run=("${TRAIN[@]}" --reduce-groups 2 --steps 20000 --resume)
    mpirun.openmpi -q -n 2 "${run[@]}" --metrics m.jsonl -o s.slt "$DATA/sltrain.slt" 2>log &
    wait_for '"step":5,' m.jsonl
    kill -TERM "$(pgrep -f slt-train -P $! | tail -n 1)"
    wait $! || true
    [ "$(ls s-*.slt | wc -l)" = 1 ]
    slt-info --check s-*.slt
    step=$(ls s-*.slt | grep -o '[0-9]*')
    rm m.jsonl
    # It goes on to the bytes of a run that nobody stopped.
    "${TRAIN[@]}" -q --reduce-groups 2 --steps 20000 --max-time 0.001s --metrics m.jsonl --resume --checkpoint s -o t.slt "$DATA/sltrain.slt" ||
        [ $? -eq 1 ]
    grep "\"step\":$((step + 1))," m.jsonl
}

@test "a stop file ends a run as a signal does" {
    need openmpi
    mpirun.openmpi -q -n 2 "${TRAIN[@]}" --steps 20000 --stop-file stop --metrics m.jsonl -o s.slt "$DATA/sltrain.slt" 2>log &
    wait_for '"step":3,' m.jsonl
    touch stop
    wait $! || true
    grep "stopped at step [0-9]*; the same command with --resume goes on" log
    [ "$(ls s-*.slt | wc -l)" = 1 ]
}

@test "a rank that hangs ends the job with its name, host and step" {
    need openmpi
    hang
}

@test "a rank that is killed ends the job, and the same command goes on" {
    need openmpi
    run=("${TRAIN[@]}" -q --steps 40 --checkpoint-every 2 --resume)
    on 2 "${run[@]}" -o whole.slt "$DATA/sltrain.slt"
    mpirun.openmpi -n 2 "${run[@]}" --metrics m.jsonl -o s.slt "$DATA/sltrain.slt" 2>log &
    wait_for '"step":6,' m.jsonl
    kill -KILL "$(pgrep -f slt-train -P $! | tail -n 1)"
    wait $! || true
    [ ! -e s.slt ]
    on 2 "${run[@]}" -o s.slt "$DATA/sltrain.slt"
    cmp whole.slt s.slt
}

# SLT_TEST_FAILURES=20 makes a campaign of it.
@test "two hosts over TCP: a rank killed, a host cut off, at any moment; the bytes of an undisturbed run" {
    need openmpi
    make_hosts
    local failures=${SLT_TEST_FAILURES:-2}
    run=("${TRAIN[@]}" -q --steps $((failures * 400)) --checkpoint-every 5 --resume --timeout 2s)
    on 2 "${run[@]}" -o whole.slt "$DATA/sltrain.slt"
    for ((i = 0; i < failures; i++)); do
        : >log
        on_hosts "${run[@]}" --metrics m.jsonl -o s.slt "$DATA/sltrain.slt" 2>log &
        job=$!
        wait_for '"step":' m.jsonl
        sleep "0.$((RANDOM % 700 + 100))"
        ranks=$(pgrep -f "^[^ ]*slt-train .*$PWD" || pgrep -f "^[^ ]*slt-train .*-o s.slt $DATA") || break # it is done
        start=$SECONDS
        if ((i % 2)); then
            kill -KILL "$(shuf -n 1 <<<"$ranks")"
        else
            ip -n ${HOSTS}a link set slta down
        fi
        wait $job || true
        echo "failure $i after $(tail -n 1 m.jsonl | cut -c 1-40), ended in $((SECONDS - start)) s: $(grep slt-train: log || true)"
        [ $((SECONDS - start)) -lt 15 ]
        ((i % 2)) || grep "slt-train: rank 1 on host hostb has not answered for [23] s, in .*step [0-9]*" log
        ip -n ${HOSTS}a link set slta up
        rm m.jsonl
    done
    [ "$i" -eq "$failures" ]
    on_hosts "${run[@]}" -o s.slt "$DATA/sltrain.slt"
    cmp whole.slt s.slt
}
