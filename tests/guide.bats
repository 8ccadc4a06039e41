# The guide of slt(7): its commands, taken from the page, run one after the other.

setup() {
    load tools/common
    cd "$BATS_TEST_TMPDIR"
}

@test "every command of the guide works, in order" {
    mkdir books
    make_text text
    split -n l/40 --additional-suffix=.txt text books/
    sed -n '/^\.Sh GUIDE/,/^\.Sh ENVIRONMENT/p' "$ROOT/man/slt.7" |
        sed -n '/^\.Bd/,/^\.Ed/{/^\./!p}' | sed 's/\\e$/\\/' >guide
    [ "$(grep -c '^slt-' guide)" -ge 15 ]
    # Each tool has its place in it.
    for tool in "$ROOT"/tools/slt-*.c; do grep -q "$(basename "$tool" .c) " guide; done
    # As root in a container, on fewer cores than processes; without MPI, one process.
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_plm=isolated
    command -v mpirun >/dev/null || sed -i 's/^mpirun -n [0-9]* //' guide
    bash -eux -o pipefail guide >output 2>log || { tail -n 20 log; false; }
    # It learns, and what is taken elsewhere and back is the same model.
    grep -q '^model.safetensors: OK' output
    awk '$1 == "loss" { l[++n] = $2 } END { print l[1], l[3]; exit !(n == 3 && l[1] < 7 && (l[1] - l[3]) ^ 2 < 1e-8) }' output
    for file in shared.slt sharded.slt refined.slt resumed.slt int8.slt; do slt-info --check $file; done
    [ -s model.gguf ]
}
