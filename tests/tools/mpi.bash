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
