# slt-info: reports of checkpoints and token files, and the answer to "is it whole?".

setup_file() {
    export BIN MODEL
    BIN=$(cd "${BUILD:-build}" && pwd)
    PATH=$BIN:$PATH
    cd "$BATS_FILE_TMPDIR"
    cat >config.json <<'END'
{"vocab_size": 300, "hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
END
    for i in $(seq 700); do echo "Sentence $i says what the sentence before it said, and no more."; done >text
    slt-tokenize --train-tokenizer spm.model --vocab-size 300 --document line -o train.tok text
    slt-init --config config.json --tokenizer spm.model --method sltrain --rank 4 --density 0.1 --alpha 8 --seed 3 \
        -o model.slt
    zstd -q model.slt train.tok
}

setup() {
    PATH=$BIN:$PATH
    cd "$BATS_FILE_TMPDIR"
}

value() { # NAME: its value in $output
    awk -F '\t' -v name="$1" '$1 == name { print $2 }' <<<"$output"
}

@test "a checkpoint's report: kind, configuration, tokenizer, tensors, provenance" {
    run slt-info model.slt
    [ "$status" -eq 0 ]
    [ "$(value kind)" = checkpoint ]
    [ "$(value config.hidden_size)" = 16 ]
    [ "$(value config.slt.method)" = sltrain ]
    [ "$(value config.slt.rank)" = 4 ]
    [ "$(value tokenizer.member)" = tokenizer.model ]
    [ "$(value tokenizer.sha256)" = "$(sha256sum <spm.model | cut -d ' ' -f 1)" ]
    # Embedding, head and final norm; two norms and three tensors of seven linears in each of two layers.
    [ "$(value tensor | wc -l)" -eq 49 ]
    [[ $output == *"tensor"$'\t'"model"$'\t'"model.embed_tokens.weight"$'\t'"F32"$'\t'"300x16"$'\t'"19200"* ]]
    [[ $(value provenance) == '{"tool":"slt-init"'* ]]
    # The parameters are the elements of all tensors.
    bytes=$(awk -F '\t' '$1 == "tensor" { sum += $6 } END { print sum }' <<<"$output")
    [ "$(value parameters)" -eq $((bytes / 4)) ]
}

@test "a token file's report" {
    run slt-info train.tok
    [ "$status" -eq 0 ]
    [ "$(value kind)" = tokens ]
    [ "$(value documents)" = 700 ]
    [ "$(value vocab_size)" = 300 ]
    [ "$(value width)" = 2 ]
    [ "$(value text_bytes)" -gt 30000 ]
    [ "$(value tokenizer_sha256)" = "$(sha256sum <spm.model | cut -d ' ' -f 1)" ]
    [ "$(stat -c %s train.tok)" -eq $((64 + 2 * $(value tokens) + 3 * 8 + 96)) ]
}

@test "plain, compressed, from a file and from a pipe the report is the same" {
    for file in model.slt train.tok; do
        slt-info $file >report
        slt-info $file.zst | cmp - report
        slt-info <$file | cmp - report
        cat $file | slt-info - | cmp - report
        cat $file.zst | slt-info | cmp - report
        slt-info -o report2 $file
        cmp report report2
    done
}

@test "--json prints one object with the same values" {
    slt-info --json model.slt >report.json
    slt-info model.slt >report
    [ "$(grep -c '"section": "model"' report.json)" -eq "$(grep -c ^tensor report)" ]
    grep -q '"hidden_size": 16' report.json
    [ "$(head -c 1 report.json)" = "{" ]
    [ "$(tail -c 2 report.json)" = "}" ]
    run slt-info --json train.tok
    [ "$status" -eq 0 ]
    [[ $output == *'"kind": "tokens"'*'"documents": 700'* ]]
}

@test "--check says 0 for whole files, and nothing else" {
    for file in model.slt train.tok model.slt.zst train.tok.zst; do
        run slt-info --check $file
        [ "$status" -eq 0 ]
        [ -z "$output" ]
        run slt-info --check <$file
        [ "$status" -eq 0 ]
        [ -z "$output" ]
        run slt-info --check -v $file
        [ "$status" -eq 0 ]
        [[ $output == *whole* ]]
    done
}

@test "--check says 1 for cut, changed, longer and foreign files, and what is wrong" {
    for file in model.slt train.tok model.slt.zst train.tok.zst; do
        size=$(stat -c %s $file)
        for keep in 0 1 7 100 600 $((size / 2)) $((size - 100)) $((size - 1)); do
            head -c $keep $file >bad
            run slt-info --check bad
            [ "$status" -eq 1 ]
            [ "${#lines[@]}" -eq 1 ]
            [[ $output == "slt-info: 'bad'"* ]]
            run slt-info --check -q bad
            [ "$status" -eq 1 ]
            [ -z "$output" ]
        done
        (cat $file && echo more) >bad
        run slt-info --check bad
        [ "$status" -eq 1 ]
        # One byte in the middle.
        cp $file bad
        byte=$(tail -c +$((size / 2 + 1)) $file | head -c 1 | od -An -t u1)
        printf "\\$(printf %o $((byte ^ 85)))" | dd of=bad bs=1 seek=$((size / 2)) conv=notrunc status=none
        run slt-info --check bad
        [ "$status" -eq 1 ]
    done
    run slt-info --check text
    [ "$status" -eq 1 ]
    [[ $output == *"is neither a checkpoint nor a token file" ]]
}

@test "--check says 2 in trouble" {
    run slt-info --check none.slt
    [ "$status" -eq 2 ]
    [[ $output == *"No such file"* ]]
    mkdir -p directory
    run slt-info --check directory
    [ "$status" -eq 2 ]
    [[ $output == *"Is a directory"* ]]
    run slt-info --check --nonsense
    [ "$status" -eq 2 ]
    run slt-info --check model.slt train.tok
    [ "$status" -eq 2 ]
}

@test "a damaged file gives no report and no output file" {
    head -c 20000 model.slt >bad
    run slt-info -o out bad
    [ "$status" -eq 1 ]
    [ ! -e out ]
    run slt-info bad
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"truncated"* ]]
    zstd -q -c model.slt | head -c 5000 >bad
    run slt-info bad
    [ "$status" -eq 1 ]
    [[ $output == *"cut short"* ]]
}

@test "other programs unpack, check and pack a checkpoint" {
    rm -rf unpacked && mkdir unpacked && cd unpacked
    tar xf ../model.slt
    sha256sum -c --status MANIFEST.sha256
    cmp tokenizer.model ../spm.model
    tar cf ../packed.slt config.json tokenizer.model model.safetensors provenance.jsonl MANIFEST.sha256
    slt-info --check ../packed.slt
    slt-info ../packed.slt >report1
    slt-info ../model.slt | cmp - report1
    tar cf ../packed.slt config.json model.safetensors tokenizer.model provenance.jsonl MANIFEST.sha256
    run slt-info --check ../packed.slt
    [ "$status" -eq 1 ]
    [[ $output == *"'tokenizer.model' where 'MANIFEST.sha256' is expected"* ]]
}

@test "whatever tar packed it, what the readers take is known as a checkpoint, and the rest is not" {
    rm -rf flavours && mkdir -p flavours/unpacked && cd flavours/unpacked
    tar xf ../../model.slt
    members=$(tar tf ../../model.slt)
    head -c 40000 /dev/zero | tr '\0' x >../long
    pack() { # NAME OPTION...
        tar -cf "../$1.slt" "${@:2}" $members
    }
    pack pax --format=pax
    pack gnu --format=gnu
    pack ustar --format=ustar
    pack v7 --format=v7
    pack global --format=pax --pax-option=comment=hello
    pack both --format=pax --pax-option=comment=hello,comment:=hello
    pack long --format=pax "--pax-option=comment:=$(<../long)"
    pack label --format=gnu -V 'a label'
    pack dot --format=pax --transform='s,^,./,'
    tar -cf ../order.slt --format=pax model.safetensors config.json
    mkdir links && ln -s ../config.json links/config.json
    tar -cf ../link.slt -C links config.json
    head -c 100 ../pax.slt >../short.slt
    head -c 100000 /dev/zero >../zeros.slt
    cd ..
    zstd -q *.slt
    for f in *.slt *.zst; do
        taken=0 known=0
        slt-quantize -q -o taken "$f" 2>err || taken=$?
        slt-info "$f" >report 2>err || known=$?
        cat "$f" | slt-info >report 2>err || [ "$known" -ne 0 ]
        echo "$f: taken $taken, known $known, $(head -n 1 err)"
        [ "$taken" -eq "$known" ]
        case $f in
        dot* | order* | link* | short* | zeros*) [ "$known" -eq 1 ] && grep -qE 'neither|cut short' err ;;
        *) [ "$known" -eq 0 ] && grep -q "^kind.checkpoint" report ;;
        esac
    done
}

@test "a report that lacks memory for a value is none" {
    command -v cc >/dev/null || skip "no compiler"
    cat >shim.c <<'END'
#include <stddef.h>
void *json_integer(long long value) { return NULL; }
END
    cc -shared -fPIC -o shim.so shim.c
    for command in "slt-info model.slt" "slt-info --json train.tok" "slt-eval --json --data train.tok --limit 500 model.slt" \
        "slt-svd-inspect --json model.slt"; do
        status=0
        LD_PRELOAD=$PWD/shim.so $command >out 2>err || status=$?
        echo "$command: $status $(<err)"
        [ "$status" -eq 1 ]
        [ ! -s out ]
        grep -q 'cannot allocate' err
    done
}

@test "the layout is the one in slt-tokens(5)" {
    run slt-info train.tok
    numbers=$(tail -c 96 train.tok | tail -c +9 | head -c 40 | od -An -t u8 | tr -s ' \n' ' ')
    tokens=$(value tokens)
    [ "$numbers" = " $tokens 700 $(value text_bytes) $((64 + 2 * tokens)) 3 " ]
    [ "$(head -c -32 train.tok | sha256sum | cut -d ' ' -f 1)" = \
        "$(tail -c 32 train.tok | od -An -v -t x1 | tr -d ' \n')" ]
    # Each document ends with EOS, and EOS is nowhere else.
    eos=$(value eos)
    [ "$(tail -c +65 train.tok | head -c $((2 * tokens)) | od -An -v -w2 -t u2 | grep -cxE " *$eos")" -eq 700 ]
}

@test "the manual's examples" {
    cd "$BATS_TEST_DIRNAME/../.."
    mandoc -T ascii -O width=300 man/slt-info.1 | sed 's/.\x08//g' |
        sed -n '/^EXAMPLES/,/^SEE ALSO/s/^ *\(slt-info .*\)/\1/p' >"$BATS_TEST_TMPDIR/examples"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/examples")" -eq 3 ]
    cd "$BATS_FILE_TMPDIR"
    while read -r line; do
        run bash -o pipefail -c "$line"
        echo "$line: $status $output"
        [ "$status" -eq 0 ]
    done <"$BATS_TEST_TMPDIR/examples"
    cmp train.tok copy.tok
    run bash -c "$(head -n 1 "$BATS_TEST_TMPDIR/examples")"
    [ "$output" -gt 9600 ]
}
