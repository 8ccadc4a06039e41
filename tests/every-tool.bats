# The contract that every program keeps (slt(7)), tested for each one that is built.

setup_file() {
    load tools/common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    slt-init --config tiny.json --tokenizer spm.model --method sltrain --rank 8 -o model.slt
    slt-convert --merge -o directory model.slt
    head -c 300 /dev/urandom >garbage
}

setup() {
    load tools/common
    DATA=$BATS_FILE_TMPDIR
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    TOOLS=$(cd "$BIN" && echo slt-*[a-z])
    TOOLS=$(for t in $TOOLS; do [ -x "$BIN/$t" ] && [ "${t%.pc}" = "$t" ] && echo "$t"; done)
}

# A good command line of a tool without -o, its model or text from $1.
good() { # TOOL INPUT
    case $1 in
    slt-tokenize) echo --tokenizer "$DATA/spm.model" "$2" ;;
    slt-init) echo --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --rank 8 ;;
    slt-train) echo --data "$DATA/train.tok" --steps 2 --batch 2 --seq 16 "$2" ;;
    slt-eval) echo --data "$DATA/valid.tok" --seq 16 "$2" ;;
    slt-quantize) echo --type nf4 "$2" ;;
    slt-generate) echo --prompt int --max-tokens 3 "$2" ;;
    slt-svd-inspect) echo --spectra "$2" ;;
    slt-info) echo "$2" ;;
    slt-convert) echo "$DATA/directory" ;;
    slt-plan) echo --preset nano --method sltrain ;;
    *) echo "no command line for $1" >&2; return 1 ;;
    esac
}
input_of() {
    if [ "$1" = slt-tokenize ]; then echo "$DATA/text"; else echo "$DATA/model.slt"; fi
}
# Tools that read a checkpoint as their operand.
READERS='slt-train slt-eval slt-quantize slt-generate slt-svd-inspect slt-info'
# Tools whose result is binary.
BINARY='slt-tokenize slt-init slt-train slt-quantize slt-convert'

@test "there are programs to test" {
    [ "$(wc -w <<<"$TOOLS")" -ge 7 ]
}

@test "--help: on stdout, status 0, nothing on stderr" {
    for t in $TOOLS; do
        "$t" --help >out 2>err
        [ ! -s err ]
        head -n 1 out | grep -q "^usage: $t "
        "$t" -h | cmp - out
    done
}

@test "--version: name, version, features" {
    for t in $TOOLS; do
        "$t" --version >out 2>err
        [ ! -s err ]
        head -n 1 out | grep -Eqx "$t [0-9]+\.[0-9]+\.[0-9]+"
        grep -q oneDNN out
    done
}

@test "a mistyped option is answered with the nearest ones, and a short one with all it could be" {
    local word
    local -A means=([--learning-rate]=--lr [--learning_rate=1e-3]=--lr [--Batch-Size]=--batch [--max-steps]=--steps
        [--sequence-length]=--seq [--weightdecay]=--weight-decay [--wd]=--weight-decay [--wramup]=--warmup
        [--precission]=--precision [--num-threads]=--threads [--log-interval]=--log-every)
    for word in "${!means[@]}"; do
        run slt-train "$word"
        echo "$output"
        [ "$status" -eq 2 ]
        [ "${lines[0]}" = "slt-train: unknown option '$word'; did you mean ${means[$word]}?" ]
    done
    run slt-train --va 1
    [ "${lines[0]}" = "slt-train: option '--va' could be any of --valid, --valid-every, --valid-limit" ]
    run slt-train --xyzzy
    [ "${lines[0]}" = "slt-train: unknown option '--xyzzy'" ]
}

@test "an unknown option: status 2, nothing on stdout, a hint" {
    for t in $TOOLS; do
        status=0
        "$t" --no-such-option >out 2>err || status=$?
        [ "$status" -eq 2 ]
        [ ! -s out ]
        grep -q "^$t: " err
        grep -Fqx "Try '$t --help'." err
    done
}

@test "a number with letters behind it is wrong usage" {
    for t in slt-train slt-eval slt-tokenize slt-generate slt-plan; do
        status=0
        "$t" --threads 3x >out 2>err || status=$?
        [ "$status" -eq 2 ]
        grep -q -- '--threads' err
    done
}

@test "the good command lines are good" {
    for t in $TOOLS; do
        "$t" $(good "$t" "$(input_of "$t")") >out
        [ -s out ]
    done
}

@test "a full disk: status 1 and a sentence" {
    for t in $TOOLS; do
        status=0
        "$t" $(good "$t" "$(input_of "$t")") >/dev/full 2>err || status=$?
        echo "$t: $status $(cat err)"
        [ "$status" -eq 1 ]
        grep -q "^$t: .*stdout" err
        status=0
        "$t" --help >/dev/full 2>err || status=$?
        [ "$status" -eq 1 ]
    done
}

@test "binary results are not written to a terminal" {
    for t in $BINARY; do
        status=0
        script -qec "$t $(good "$t" "$(input_of "$t")") 2>err" /dev/null >out </dev/null || status=$?
        echo "$t: $status $(cat err)"
        [ "$status" -eq 2 ]
        grep -q terminal err
    done
}

@test "binary input is not waited for on a terminal" {
    for t in $READERS; do
        status=0
        timeout 20 script -qec "$t $(good "$t" -) 2>err >/dev/null" /dev/null >/dev/null || status=$?
        echo "$t: $status $(cat err)"
        [ "$status" -eq 2 ]
        grep -q terminal err
    done
}

@test "truncated and foreign input: status 1, a sentence with the file's name, no output left" {
    head -c 20000 "$DATA/model.slt" >short.slt
    for t in $READERS; do
        for bad in short.slt "$DATA/garbage" /dev/null; do
            status=0
            flag='-o result'
            "$t" $flag $(good "$t" "$bad") 2>err >out || status=$?
            echo "$t $bad: $status $(cat err)"
            [ "$status" -eq 1 ]
            grep -Fq "$bad" err
            [ "$(ls -A)" = "$(printf 'err\nout\nshort.slt')" ]
        done
    done
}

@test "a missing file: the usual sentence" {
    for t in $READERS slt-tokenize; do
        status=0
        "$t" $(good "$t" no-such-file) >out 2>err || status=$?
        [ "$status" -eq 1 ]
        [ "$(cat err)" = "$t: cannot open 'no-such-file': No such file or directory" ]
        [ ! -s out ]
    done
}

@test "a failure leaves the old target as it was" {
    for t in $READERS; do
        echo old >result
        status=0
        "$t" -o result $(good "$t" "$DATA/garbage") 2>err || status=$?
        [ "$status" -eq 1 ]
        [ "$(cat result)" = old ]
        [ "$(ls -A)" = "$(printf 'err\nresult')" ]
    done
}

@test "-o writes what stdout gets, through a symbolic link and into a FIFO" {
    for t in $TOOLS; do
        [ "$t" != slt-info ] || continue
        "$t" $(good "$t" "$(input_of "$t")") >plain
        "$t" -o result $(good "$t" "$(input_of "$t")")
        cmp plain result
        ln -s "$PWD/behind" link
        "$t" -o link $(good "$t" "$(input_of "$t")")
        [ -L link ]
        cmp plain behind
        mkfifo fifo
        cat fifo >piped &
        "$t" -o fifo $(good "$t" "$(input_of "$t")")
        wait
        cmp plain piped
        rm -f link behind fifo piped plain result
    done
}

@test "standard input is what '-' and no operand stand for" {
    for t in $READERS slt-tokenize; do
        "$t" $(good "$t" -) <"$(input_of "$t")" >a
        "$t" $(good "$t" '') <"$(input_of "$t")" >b
        cmp a b
    done
}

@test "only one input can be standard input" {
    for how in "slt-train --data - --steps 1 -" "slt-eval --data - -" "slt-tokenize --tokenizer $DATA/spm.model - -"; do
        status=0
        $how >out 2>err </dev/null || status=$?
        [ "$status" -eq 2 ]
        grep -q "only one of the inputs can be '-'" err
    done
}

# SIGNAL INPUT COMMAND...: runs it with all signals at their defaults, which a background job of a shell does not have, while
# the FIFO 'never' gives it the first part of INPUT and no end. Then sends the signal. Prints which signal it ended by, or
# its exit status; 'before' lists the files that were there when the signal came.
end_by() {
    timeout 60 perl -e 'my ($signal, $input) = splice @ARGV, 0, 2;
        $SIG{$_} = "DEFAULT" for qw(INT TERM HUP);
        defined(my $pid = fork) or die;
        if (!$pid) { exec @ARGV; die }
        open my $pipe, ">", "never" or die;
        open my $file, "<", $input or die;
        sysread $file, my $part, 40000 or die;
        syswrite $pipe, $part or die;
        select undef, undef, undef, 0.3;
        system "ls -A >before";
        kill $signal, $pid;
        waitpid $pid, 0;
        print $? & 127 ? "signal " . ($? & 127) : "status " . ($? >> 8), "\n"' "$@"
}

@test "a signal ends a program by that signal, and its unfinished output is gone" {
    mkfifo never
    for t in $READERS slt-tokenize; do
        for signal in TERM INT HUP; do
            ended=$(end_by $signal "$(input_of "$t")" "$t" -o result $(good "$t" never) 2>err)
            echo "$t $signal: $ended, with $(paste -sd ' ' before)"
            [ "$ended" = "signal $(kill -l $signal)" ]
            # These write while they read: there was something unfinished.
            case $t in slt-tokenize | slt-quantize) grep -q '^\.result\..*\.tmp$' before ;; esac
            [ "$(ls -A)" = "$(printf 'before\nerr\nnever')" ]
        done
    done
}

@test "a signal that the parent ignores stays ignored" {
    (
        trap '' TERM
        mkfifo slow
        slt-eval --data "$DATA/valid.tok" --seq 16 slow >out &
        pid=$!
        exec 9>slow
        kill -TERM $pid
        cat "$DATA/model.slt" >&9
        exec 9>&-
        wait $pid
    )
    grep -q '^loss' out
}

@test "a reader that goes away ends a program by SIGPIPE" {
    for t in $BINARY; do
        { status=0; "$t" $(good "$t" "$(input_of "$t")") 2>err || status=$?; echo "$status" >code; } | true
        [ "$(cat code)" = 141 ]
        [ ! -s err ]
    done
}

@test "@FILE stands for the words in it" {
    printf '%s\n' '# options' "--data '$DATA/valid.tok'" '--seq 16' >options
    slt-eval @options "$DATA/model.slt" >a
    slt-eval --data "$DATA/valid.tok" --seq 16 "$DATA/model.slt" >b
    cmp a b
    status=0
    slt-eval @missing 2>err || status=$?
    [ "$status" -eq 1 ]
}

@test "the same command gives the same bytes" {
    for t in $TOOLS; do
        "$t" $(good "$t" "$(input_of "$t")") >a
        "$t" $(good "$t" "$(input_of "$t")") >b
        cmp a b
    done
}

@test "each writer of checkpoints adds one provenance line without times, hosts or paths" {
    slt-train $(good slt-train "$DATA/model.slt") -o m.slt
    tar xOf m.slt provenance.jsonl >lines
    [ "$(wc -l <lines)" -eq 2 ]
    head -n 1 lines | grep -q '"slt-init"'
    tail -n 1 lines | grep -q '"slt-train"'
    if grep -q "$PWD\|$(hostname)\|/tmp" lines; then false; fi
    slt-init $(good slt-init) --no-provenance -o n.slt
    slt-train --no-provenance $(good slt-train n.slt) -o p.slt
    [ "$(tar xOf p.slt provenance.jsonl | wc -c)" -eq 0 ]
}

@test "a checkpoint is a tar that other tools can check" {
    tar xf "$DATA/model.slt"
    sha256sum -c --quiet MANIFEST.sha256
    cmp tokenizer.model "$DATA/spm.model"
}

@test "threads that wait sleep soon, unless the environment says otherwise" {
    mkfifo f
    spin() { # what a tool that waits for its input has in its environment
        "$@" slt-info f >/dev/null 2>&1 &
        local pid=$! spin i
        for ((i = 0; i < 250; i++)); do
            # Before it is the program, the process has the environment of this test.
            [[ $(readlink "/proc/$pid/exe") != */slt-info ]] ||
                spin=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^GOMP_SPINCOUNT=//p')
            [ -z "$spin" ] || break
            sleep 0.02
        done
        echo "$spin"
        : >f
        wait $pid || true
    }
    unset GOMP_SPINCOUNT OMP_WAIT_POLICY
    [ "$(spin env)" = 1000 ]
    [ "$(spin env GOMP_SPINCOUNT=7)" = 7 ]
}
