# For tests that start several processes by MPI: as root in a container, on fewer cores than ranks, and without another
# machine to ask.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_plm=isolated

# MPI: skips unless it can be started.
need() {
    [ -e "$BIN/libslt-$1.so" ] && command -v "mpirun.$1" >/dev/null || skip "no $1"
}

# N COMMAND...: on N ranks of Open MPI.
on() {
    local n=$1
    shift
    if [ "$n" = 1 ]; then "$@"; else mpirun.openmpi -q -n "$n" "$@"; fi
}

# Of two ranks that train by TRAIN the last one stops for good: the other one says so, and ends the job in time with a whole state.
hang() {
    local ranks start
    mpirun.openmpi -q -n 2 "${TRAIN[@]}" --steps 20000 --timeout 2s --checkpoint-every 4 --metrics m.jsonl -o s.slt "$DATA/sltrain.slt" \
        2>log &
    wait_for '"step":6,' m.jsonl
    ranks=$(pgrep -f slt-train -P $!)
    kill -STOP "$(tail -n 1 <<<"$ranks")"
    start=$SECONDS
    wait $! || true
    kill -KILL $ranks 2>/dev/null || true
    [ $((SECONDS - start)) -lt 15 ]
    # Wherever it was: in the step, its end or the writing after it.
    [ "$(grep -c "^slt-train: .*rank 1 on host $(hostname) has not answered for [2-9] s, in [a-z ]*step [0-9]*" log)" = 1 ]
    slt-info --check "$(ls -t s-*.slt | head -n 1)"
}
