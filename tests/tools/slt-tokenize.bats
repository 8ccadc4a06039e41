# slt-tokenize: ids of known tokenizers, text that comes back, formats, hold-out, and what is skipped.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_text text
    slt-tokenize --train-tokenizer spm.model --vocab-size 512 --document blank -o text.tok text
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    MODEL=$BATS_FILE_TMPDIR/spm.model
    TEXT=$BATS_FILE_TMPDIR/text
}

info() { # NAME FILE
    slt-info "$2" | value_of "$1"
}

# The ids of a token file of at most 65536 pieces, one document a line, the EOS id $2 ending each.
ids() { # FILE EOS
    local tokens
    tokens=$(info tokens "$1")
    tail -c +65 "$1" | head -c $((2 * tokens)) | od -An -v -tu2 -w2 | awk -v eos="$2" '
        $1 == eos { print line; line = ""; next } { line = line (line == "" ? "" : " ") $1 } END { if (line != "") print line }'
}

golden() { # MODEL IDS EOS
    need_shared "data/tokenizers/golden/$2"
    local golden=$SLT_SHARED/data/tokenizers/golden
    slt-tokenize --tokenizer "$SLT_SHARED/data/tokenizers/$1" --document line -o a.tok "$golden/lines.txt"
    diff <(ids a.tok "$3") <(grep -v '^$' "$golden/$2" | sed 's/ *$//')
}

@test "ids are those of spm_encode: T5" { golden t5/spiece.model t5.id 1; }
@test "ids are those of spm_encode: LLaMA" { golden llama/tokenizer.model llama.id 2; }
@test "ids are those of spm_encode: unigram test model" { golden spm_test/test_sentencepiece.model test_unigram.id 2; }
@test "ids are those of spm_encode: BPE test model" { golden spm_test/test_sentencepiece_bpe.model test_bpe.id 2; }

@test "what a trained tokenizer encodes comes back byte for byte" {
    printf 'tabs\tand  runs   of\n\n\nnewlines \r\n caf\303\251 \360\237\230\200 \342\202\254 \001\002 end  ' >odd
    for text in "$TEXT" odd; do
        slt-tokenize --tokenizer "$MODEL" -o a.tok "$text"
        slt-tokenize --tokenizer "$MODEL" --decode a.tok | cmp - "$text"
    done
}

@test "training a tokenizer on the same text gives the same bytes, from a pipe as from a file" {
    slt-tokenize --train-tokenizer a.model --vocab-size 400 -o a.tok "$TEXT"
    slt-tokenize --train-tokenizer b.model --vocab-size 400 --threads 1 -o b.tok - < <(cat "$TEXT")
    cmp a.model b.model
    cmp a.tok b.tok
}

@test "the number of threads changes nothing" {
    for n in 1 2 3; do
        slt-tokenize --tokenizer "$MODEL" --document line --threads $n -o $n.tok "$TEXT"
        cmp 1.tok $n.tok
    done
}

@test "JSON lines, gzip, zstd, xz, tar and zip hold the same documents as plain files" {
    mkdir d
    split -l 300 "$TEXT" d/part-
    slt-tokenize --tokenizer "$MODEL" --split 0 -o plain.tok d/part-*
    for f in d/part-*; do
        printf '{"n": 1, "text": "'
        sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/\\t/g; s/$/\\n/' "$f" | tr -d '\n'
        printf '"}\n'
    done >lines.json
    slt-tokenize --tokenizer "$MODEL" --split 0 -o json.tok lines.json
    cmp plain.tok json.tok
    gzip -k lines.json
    zstd -q lines.json
    tar cf all.tar d/part-*
    xz -k all.tar
    # Files of several streams, one behind the other, and a whole archive that is compressed.
    for compress in gzip zstd xz; do
        { head -n 3 lines.json | $compress -c && tail -n +4 lines.json | $compress -c; } >lines.$compress
    done
    zstd -q --long=27 -c all.tar >all.tar.zst
    files=(lines.json.gz lines.json.zst lines.gzip lines.zstd lines.xz all.tar all.tar.xz all.tar.zst)
    if command -v zip >/dev/null; then
        zip -q all.zip d/part-*
        zip -q - d/part-* </dev/null | cat >streamed.zip
        files+=(all.zip streamed.zip)
    fi
    for f in "${files[@]}"; do
        slt-tokenize --tokenizer "$MODEL" --split 0 -o a.tok "$f"
        cmp plain.tok a.tok
        slt-tokenize --tokenizer "$MODEL" --split 0 - <"$f" | cmp plain.tok -
    done
}

@test "lines that are no JSON and text that is no UTF-8 are skipped and counted" {
    printf '%s\n' '{"text": "one"}' 'broken' '{"other": "two"}' '{"text": "three"}' '{"text": 4}' >x.json
    printf '{"text": "caf\351"}\n' >>x.json
    run slt-tokenize --tokenizer "$MODEL" --max-skipped 0.7 -o a.tok x.json
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"skipped 1 record that is no JSON object; the first: line 2 of 'x.json'"* ]]
    [[ $output == *"skipped 1 JSON object without the field; the first: line 3 of 'x.json'"* ]]
    [[ $output == *"skipped 1 JSON object whose field is no text; the first: line 5 of 'x.json'"* ]]
    [[ $output == *"skipped 1 document that is no UTF-8; the first: line 6 of 'x.json'"* ]]
    [ "$(info documents a.tok)" = 2 ]
    printf 'good\nb\377d\nfine\n' >y
    run slt-tokenize --tokenizer "$MODEL" --max-skipped 0.4 --document line -o a.tok y
    [ "$status" -eq 0 ]
    [[ $output == *"skipped 1 document that is no UTF-8; the first: line 2 of 'y'"* ]]
    [ "$(info documents a.tok)" = 2 ]
}

@test "held-out documents are whole, disjoint from the rest, and the same again" {
    slt-tokenize --tokenizer "$MODEL" --document line --valid-output v.tok --valid-fraction 0.2 --seed 7 -o t.tok "$TEXT"
    slt-tokenize --tokenizer "$MODEL" --document line -o all.tok "$TEXT"
    [ $(($(info documents t.tok) + $(info documents v.tok))) -eq "$(info documents all.tok)" ]
    share=$((100 * $(info documents v.tok) / $(info documents all.tok)))
    [ "$share" -ge 15 ]
    [ "$share" -le 25 ]
    sort <(ids t.tok 2) <(ids v.tok 2) | diff - <(ids all.tok 2 | sort)
    slt-tokenize --tokenizer "$MODEL" --document line --valid-output w.tok --valid-fraction 0.2 --seed 7 -o u.tok "$TEXT"
    cmp v.tok w.tok
    slt-tokenize --tokenizer "$MODEL" --document line --valid-output w.tok --valid-fraction 0.2 --seed 8 -o u.tok "$TEXT"
    if cmp -s v.tok w.tok; then false; fi
}

@test "--split cuts at newlines, --document at lines and blank lines" {
    printf 'a a a\nb b b\n\nc c c\n' >x
    slt-tokenize --tokenizer "$MODEL" -o a.tok x
    [ "$(info documents a.tok)" = 1 ]
    slt-tokenize --tokenizer "$MODEL" --split 7 -o a.tok x
    [ "$(info documents a.tok)" = 3 ]
    slt-tokenize --tokenizer "$MODEL" --document line -o a.tok x
    [ "$(info documents a.tok)" = 4 ]
    slt-tokenize --tokenizer "$MODEL" --document blank -o a.tok x
    [ "$(info documents a.tok)" = 2 ]
}

@test "parts by --skip and --limit are the whole, with the same hold-out" {
    for ((i = 0; i < 90; i++)); do echo "document $i says nothing new"; done >lines
    slt-tokenize --train-tokenizer s.model --vocab-size 300 --document line -o x.tok lines
    run=(slt-tokenize --tokenizer s.model --document line --valid-fraction 0.2)
    "${run[@]}" --valid-output v.tok -o t.tok lines
    for part in 0:40 40:30 70:0; do
        "${run[@]}" --skip "${part%:*}" --limit "${part#*:}" --valid-output "v$part.tok" -o "t$part.tok" lines
    done
    for kind in t v; do
        slt-tokenize --decode --tokenizer s.model $kind.tok >whole
        [ -s whole ]
        for part in 0:40 40:30 70:0; do slt-tokenize --decode --tokenizer s.model "$kind$part.tok"; done | cmp - whole
    done
    slt-tokenize -v --tokenizer s.model --document line --skip 10 --limit 5 -o p.tok lines 2>&1 | grep -q '^slt-tokenize: 5 documents'
}

@test "a cut file is refused, and nothing is written" {
    split -l 300 "$TEXT" part-
    for compress in gzip zstd xz; do $compress -c "$TEXT" | head -c 5000 >cut.$compress; done
    tar cf whole.tar part-*
    tar cf whole-pax.tar --format=pax part-*
    # Inside a member, between two of them, and inside the padding of one.
    size=$(stat -c %s part-aa)
    behind=$((512 + (size + 511) / 512 * 512))
    head -c 2000 whole.tar >cut.inside
    head -c $behind whole.tar >cut.between
    head -c $((512 + size)) whole.tar >cut.padding
    head -c $((behind + 512 + (size + 511) / 512 * 512)) whole-pax.tar >cut.pax
    for f in cut.*; do
        run slt-tokenize --tokenizer "$MODEL" -o a.tok "$f"
        echo "$output"
        [ "$status" -eq 1 ]
        [[ $output == *"$f"* ]]
        [ ! -e a.tok ]
    done
    for f in whole.tar whole-pax.tar; do slt-tokenize --tokenizer "$MODEL" -o a.tok $f; done
    # With a folder at its end, and with no member at all.
    mkdir folder
    tar cf folder.tar part-aa folder
    slt-tokenize --tokenizer "$MODEL" -o a.tok folder.tar
    tar cf empty.tar -T /dev/null
    slt-tokenize --tokenizer "$MODEL" -o a.tok whole.tar empty.tar
}

@test "an output that cannot be written takes no other output with it" {
    run slt-tokenize --train-tokenizer m.model --vocab-size 400 --valid-output no/such/v.tok --valid-fraction 0.1 -o t.tok "$TEXT"
    [ "$status" -eq 1 ]
    [ -z "$(ls -A)" ]
}

@test "a vocabulary that does not fit the text is refused, and which would is said" {
    echo hello >x
    refused() { # SIZE SENTENCE
        run slt-tokenize --train-tokenizer m.model --vocab-size "$1" -o t.tok x
        echo "$output"
        [ "$status" -eq 1 ]
        [[ $output == *"cannot train a tokenizer of $1 pieces: $2"* ]]
    }
    refused 4000 "--vocab-size is too large, the text gives 273 at most"
    printf 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%.0s' {1..50} >x
    refused 321 "--vocab-size is too small, the text has 62 different characters that count, and with 256 bytes and 4 special tokens that makes 322"
    slt-tokenize --train-tokenizer m.model --vocab-size 322 -o t.tok x
}

@test "a tokenizer without any text to learn from is refused with that reason" {
    touch empty
    run slt-tokenize --train-tokenizer m.model --vocab-size 300 -o t.tok empty
    [ "$status" -eq 1 ]
    [ "$output" = "slt-tokenize: cannot train a tokenizer of 300 pieces: there is no text to train it on" ]
    run slt-tokenize --train-tokenizer m.model --vocab-size 300 --valid-output v.tok --valid-fraction 1 -o t.tok "$TEXT"
    [ "$status" -eq 1 ]
    [ "$output" = "slt-tokenize: cannot train a tokenizer of 300 pieces: there is no text to train it on" ]
}

@test "C4's own shards are read as they are" {
    need_shared data/text/c4/c4_en_3rows.jsonl
    slt-tokenize --tokenizer "$MODEL" -o a.tok "$SLT_SHARED/data/text/c4/c4_en_3rows.jsonl"
    [ "$(info documents a.tok)" = 3 ]
    slt-tokenize --tokenizer "$MODEL" -o a.tok "$SLT_SHARED/data/text/c4/c4-sample-train.00000-of-00001.json.gz"
    [ "$(info documents a.tok)" = 1602 ]
}

@test "an input that holds no text at all is refused, and two outputs are not one file" {
    printf 'some text\n' >text
    slt-tokenize --train-tokenizer spm.model --vocab-size 500 -o a.tok "$ROOT/README.md" "$ROOT/LICENSE"
    head -c 3000 /dev/urandom | tr -d '\n' >noise
    printf '\377\376' >>noise
    run slt-tokenize --tokenizer spm.model -o noise.tok noise
    [ "$status" -eq 1 ]
    [[ $output == *"'noise' is binary data, which is not read"* ]]
    [ ! -e noise.tok ]
    run slt-tokenize --tokenizer spm.model --valid-fraction 0.1 --valid-output b.tok -o b.tok text
    [ "$status" -eq 2 ]
    run slt-tokenize --train-tokenizer spm.model --vocab-size 300 -o ./spm.model text
    [ "$status" -eq 2 ]
}

@test "shards hold the documents of one file, whole and in order, and are trained on as that file is" {
    make_text text
    slt-tokenize -q --train-tokenizer spm.model --vocab-size 400 --document blank -o one.tok text
    slt-tokenize -q --tokenizer spm.model --document blank --shard-tokens 3000 -o shard.tok text
    [ "$(ls shard-*.tok | wc -l)" -gt 4 ]
    for shard in shard-*.tok; do
        slt-info --check "$shard"
        slt-tokenize --decode --tokenizer spm.model "$shard"
    done >parts
    slt-tokenize --decode --tokenizer spm.model one.tok | cmp - parts
    # All but the last have so many tokens, and no document more than that takes.
    for shard in $(ls shard-*.tok | head -n -1); do
        [ "$(slt-info "$shard" | value_of tokens)" -ge 3000 ]
    done
    slt-init --preset nano --tokenizer spm.model --method lowrank --rank 4 -o m.slt
    run_with=(--steps 3 --batch 2 --seq 32 --no-provenance)
    slt-train --data one.tok "${run_with[@]}" -o a.slt m.slt
    slt-train --data 'shard-*.tok' "${run_with[@]}" -o b.slt m.slt
    cmp a.slt b.slt
    slt-train --data one.tok "${run_with[@]}" --layout document -o a.slt m.slt
    slt-train --data 'shard-*.tok' "${run_with[@]}" --layout document -o b.slt m.slt
    cmp a.slt b.slt
    slt-eval --data one.tok --limit 20000 m.slt >a
    slt-eval --data 'shard-*.tok' --limit 20000 m.slt >b
    cmp a b
    # By names instead of a pattern: --data again and again, and operands before the model.
    # shellcheck disable=SC2046 # names without blanks
    slt-train $(printf -- '--data %s ' shard-*.tok) "${run_with[@]}" -o c.slt m.slt
    slt-train "${run_with[@]}" -o d.slt --data shard-*.tok m.slt
    slt-train --data one.tok "${run_with[@]}" -o a.slt m.slt
    cmp a.slt c.slt
    cmp a.slt d.slt
    slt-eval --limit 20000 --data shard-*.tok - <m.slt | cmp a -
    run slt-eval --data one.tok --data - - <m.slt
    [ "$status" -eq 2 ]
    run slt-eval --data - one.tok m.slt < <(cat one.tok)
    [ "$status" -eq 1 ]
    [[ $output == *"only plain token files can be read together, and '<stdin>' is a stream"* ]]
    # A stream, or a file of another tokenizer, is no shard.
    slt-tokenize -q --train-tokenizer other.model --vocab-size 401 --document blank --limit 9 -o shard-00001.tok text
    run slt-eval --data 'shard-*.tok' m.slt
    [ "$status" -ne 0 ]
    [[ $output == *"were made with other tokenizers"* ]]
}

@test "shuffled documents are all there, in an order of the seed alone" {
    make_text text
    slt-tokenize -q --train-tokenizer spm.model --vocab-size 400 --document line -o one.tok text
    slt-tokenize --decode --document line --tokenizer spm.model one.tok | sort >lines
    [ -s lines ]
    for n in 1 7 100000; do
        slt-tokenize -q --tokenizer spm.model --document line --shuffle $n --threads 1 -o a.tok text
        slt-tokenize -q --tokenizer spm.model --document line --shuffle $n --threads 2 -o b.tok text
        cmp a.tok b.tok
        if cmp -s a.tok one.tok; then false; fi
        slt-tokenize --decode --document line --tokenizer spm.model a.tok | sort | cmp - lines
    done
    slt-tokenize -q --tokenizer spm.model --document line --shuffle 100000 --seed 2 -o b.tok text
    if cmp -s a.tok b.tok; then false; fi
}

@test "a run that was cut off goes on behind its whole shards, to the same bytes" {
    make_text text
    slt-tokenize -q --train-tokenizer spm.model --vocab-size 400 --document blank -o one.tok text
    go=(slt-tokenize -q --tokenizer spm.model --document blank --shuffle 50 --shard-tokens 2000 --seed 3
        --valid-output valid.tok --valid-fraction 0.1 -o s.tok)
    "${go[@]}" text
    mkdir want && mv s-*.tok valid.tok want
    shards=$(ls want/s-*.tok | wc -l)
    for whole in 0 1 3 $((shards - 1)) "$shards"; do
        rm -f s-*.tok valid.tok
        for ((i = 0; i < whole; i++)); do cp "want/s-$(printf %05d $i).tok" .; done
        [ "$whole" -ge "$shards" ] || head -c 500 "want/s-$(printf %05d "$whole").tok" >"s-$(printf %05d "$whole").tok"
        "${go[@]}" --resume text
        for file in want/*; do cmp "$file" "$(basename "$file")"; done
        [ "$(ls s-*.tok | wc -l)" -eq "$shards" ]
    done
    # Killed in the middle, for real.
    rm -f s-*.tok valid.tok
    mkfifo pipe
    "${go[@]}" --threads 1 pipe 3>&- &
    pid=$!
    { head -c $(($(stat -c %s text) / 2)) text && sleep 1 && kill -9 $pid; } >pipe
    status=0
    wait $pid || status=$?
    [ "$status" -eq 137 ]
    [ ! -e valid.tok ]
    "${go[@]}" --resume text
    for file in want/*; do cmp "$file" "$(basename "$file")"; done
    # Other options, or other input, make other documents.
    run "${go[@]}" --seed 4 --resume text
    [ "$status" -eq 2 ]
    [[ $output == *"it was made of other input or with other options"* ]]
    for other in "--shuffle 49" "--shuffle 0" "--shard-tokens 1900" "--split 500"; do
        # shellcheck disable=SC2086 # several words
        run "${go[@]}" $other --resume text
        [ "$status" -eq 2 ]
        [[ $output == *"cannot go on from 's-"* ]]
    done
    head -c 3000 text >less
    run "${go[@]}" --resume less
    [ "$status" -eq 2 ]
    # A change behind the first document of a shard, and shards of other sizes.
    slt-tokenize -q --tokenizer spm.model --document line --shard-tokens 2000 -o l.tok text
    sed '3s/^/more /' text >edited
    run slt-tokenize -q --tokenizer spm.model --document line --shard-tokens 2000 --resume -o l.tok edited
    [ "$status" -eq 2 ]
    [[ $output == *"'l-00000.tok': it was made of other input or with other options"* ]]
    run slt-tokenize -q --tokenizer spm.model --document line --shard-tokens 1500 --resume -o l.tok text
    [ "$status" -eq 2 ]
    [[ $output == *"'l-00000.tok': its shards were to be larger"* ]]
    slt-tokenize -q --tokenizer spm.model --document line --shard-tokens 2500 -o m.tok text
    slt-tokenize -q --tokenizer spm.model --document line --shard-tokens 2500 --resume -o l.tok text
    for file in m-*.tok; do cmp "$file" "l${file#m}"; done
    for bad in "--resume -o a.tok" "--shard-tokens 9" "--shard-tokens 9 --resume --train-tokenizer t --vocab-size 300 -o a.tok"; do
        [[ $bad == *--train-tokenizer* ]] || bad="--tokenizer spm.model $bad"
        # shellcheck disable=SC2086 # several words
        run slt-tokenize $bad text
        echo "$bad: $output"
        [ "$status" -eq 2 ]
        [[ $output == *"--resume"* || $output == *"--shard-tokens needs a name"* ]]
    done
    # A shorter run leaves none of an earlier one's shards.
    "${go[@]}" --limit 40 text
    [ "$(ls s-*.tok | wc -l)" -lt "$shards" ]
}

@test "options that would change nothing are refused" {
    slt-tokenize --tokenizer "$MODEL" -o a.tok "$TEXT"
    for more in "--decode --shuffle 3 a.tok" "--decode --limit 1 a.tok" "--decode --shard-tokens 9 -o b a.tok" \
        "--format text --field body $TEXT" "--format jsonl --document line $TEXT"; do
        # shellcheck disable=SC2086 # several words
        run slt-tokenize --tokenizer "$MODEL" $more
        echo "$more: $output"
        [ "$status" -eq 2 ]
        [[ $output == *" go"*"with"* ]]
    done
}

@test "-v says how much, how long and how fast, and -q nothing" {
    run slt-tokenize -v --tokenizer "$MODEL" -o a.tok "$TEXT"
    [ "$status" -eq 0 ]
    [[ $output == *" documents, "*" bytes, "*" tokens "*" s, "*" MB/s"* ]]
    printf 'good\nb\377d\n' >y
    run slt-tokenize -q -v --max-skipped 0.5 --tokenizer "$MODEL" --document line -o a.tok y
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

# A calloc that has no memory for 777 pointers ($1 = FAIL), or that nothing may be read behind.
preload() { # FAIL|GUARD
    command -v cc >/dev/null || skip "no compiler"
    cat >shim.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/mman.h>
static char *guarded[2];
void *calloc(size_t count, size_t size)
{
    static void *(*real)(size_t, size_t);
    if (count == 777 && size == sizeof(char *)) {
#ifdef FAIL
        return NULL;
#else
        char *all = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(all + 8192, 4096, PROT_NONE);
        guarded[guarded[0] != NULL] = all + 8192 - 777 * sizeof(char *);
        return all + 8192 - 777 * sizeof(char *);
#endif
    }
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "calloc");
    return real(count, size);
}
void free(void *p)
{
    static void (*real)(void *);
    if (p == NULL || p == guarded[0] || p == guarded[1])
        return;
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "free");
    real(p);
}
END
    cc -shared -fPIC "-D$1" -o shim.so shim.c -ldl
}

@test "a list of inputs ends where it ends, and without memory for it there is a message" {
    echo "a few words of some text" >one
    train=(slt-tokenize --train-tokenizer t.model --vocab-size 300 -o out.tok $(for i in {1..777}; do echo one; done))
    preload GUARD
    LD_PRELOAD=$PWD/shim.so "${train[@]}"
    slt-info --check out.tok
    rm out.tok t.model
    preload FAIL
    status=0
    LD_PRELOAD=$PWD/shim.so "${train[@]}" 2>err || status=$?
    cat err
    [ "$status" -eq 1 ]
    grep -q 'cannot allocate' err
    [ ! -e out.tok ]
}

@test "a folder that cannot be opened is not one without token files" {
    local dir as=()
    # What root cannot open is hard to make.
    [ "$(id -u)" -ne 0 ] || as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    dir=$(mktemp -d) && chmod 755 "$dir" && cd "$dir"
    mkdir d1 d2
    cp "$BATS_FILE_TMPDIR/text.tok" d1/a.tok
    ln -s gone d3
    touch d4
    slt-init --preset nano --tokenizer "$MODEL" --method full -o m.slt
    chmod 644 d1/a.tok m.slt
    "${as[@]}" "$BIN/slt-eval" --version || { rm -r "$dir" && skip "no other user can run it"; }
    "${as[@]}" "$BIN/slt-eval" --data 'd*/*.tok' --limit 1000 m.slt
    chmod 0 d2
    run "${as[@]}" "$BIN/slt-eval" --data 'd*/*.tok' --limit 1000 m.slt
    cd / && rm -r "$dir"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"cannot look into 'd2"* ]]
}
