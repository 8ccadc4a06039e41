# What slt-tokenize takes a file for, and that what it reads is whole: JSON in all its forms, compression and archives,
# encodings, and formats that are no text.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_text text
    slt-tokenize -q --train-tokenizer spm.model --vocab-size 512 --document blank -o text.tok text
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    MODEL=$BATS_FILE_TMPDIR/spm.model
    TEXT=$BATS_FILE_TMPDIR/text
}

# The documents of the inputs, one a line.
documents() { # ARGUMENTS
    slt-tokenize -q --tokenizer "$MODEL" -o d.tok "$@"
    slt-tokenize --decode --document line --tokenizer "$MODEL" d.tok
}

holds() { # EXPECTED ARGUMENTS: documents with a blank between them
    local want=$1
    shift
    documents "$@" >found
    tr ' ' '\n' <<<"$want" | diff found -
}

# slt-tokenize must fail with this exit code and this in its message, and leave nothing.
refused() { # CODE PATTERN ARGUMENTS
    local code=$1 pattern=$2
    shift 2
    run slt-tokenize --tokenizer "$MODEL" -o refused.tok "$@"
    echo "$*: $status: $output"
    [ "$status" -eq "$code" ]
    # shellcheck disable=SC2053 # a pattern
    [[ $output == *$pattern* ]]
    [ ! -e refused.tok ]
}

@test "JSON lines are known by more than their first line" {
    local first
    for first in '' '   ' '\xef\xbb\xbf' '\xef\xbb\xbf\n\r\n' '{"text":null}\n' '{"n":NaN,"text":"aa"}\n' \
        '{"n":Infinity,"text":"aa"}\n' '{"n":18446744073709551616,"text":"aa"}\n' '{"n":1e999,"text":"aa"}\n' \
        '{"n":"\\ud800","text":"aa"}\n' '{"text":"\\ud800"}\n' '{"\\udc00":1,"text":"aa"}\n' 'a line of something else\n' '{"text": "cut o\n'; do
        # shellcheck disable=SC2059 # escapes
        printf "$first"'{"text":"bb"}\n\n{"url":[1,{}],"text":"zz"}\n' >x
        echo "$first"
        if [[ $first == *aa* ]]; then holds 'aa bb zz' x; else holds 'bb zz' --max-skipped 0.5 x; fi
        holds "$(tr '\n' ' ' <found | sed 's/ $//')" --max-skipped 0.5 - <x
    done
}

@test "a first record of any length is looked at" {
    { printf '{"text":"' && head -c 3000000 /dev/zero | tr '\0' 'x' && printf '"}\n{"text":"zz"}\n'; } >x
    documents --split 0 x >found
    [ "$(wc -c <found)" -eq 3000004 ]
    { printf '[{"text":"' && head -c 3000000 /dev/zero | tr '\0' 'x' && printf '"},\n{"text":"zz"}]\n'; } >x
    documents --split 0 x | cmp - found
}

@test "JSON arrays and objects over several lines are read as they stream" {
    printf '\xef\xbb\xbf [ {"text":"aa"} ,\n{"x":["]",{"text":"no"}],"text":"bb"}\n,{"text":"q\\"]"}]\n' >x
    holds 'aa bb q"]' x
    holds 'aa bb q"]' --format jsonl x
    printf '{\n  "text": "aa",\n  "more": {"text": "no"}\n}\n{\n  "text": "bb"\n}\n' >x
    holds 'aa bb' x
    holds 'aa bb' --format jsonl x
    printf '{"text":"aa"}{"text":"bb"} {"text":"zz"}' >x
    holds 'aa bb zz' x
    printf '[]\n' >x
    [ -z "$(documents x)" ]
    for cut in '[{"text":"aa"}' '[{"text":"aa"},' '[{"text":"aa"},{"te' '[{"text":"aa"} {"text":"bb"}]' '[{"text":"aa"}]]' \
        '[{"text":"aa"},]' '[{"text":"aa"}] more' '{\n"text":"aa"}\n{\n"text"' '{\n"text":"aa"}\n}'; do
        # shellcheck disable=SC2059 # escapes
        printf "$cut" >x
        refused 1 "'x' is damaged or truncated: its JSON" x
    done
    # What an array holds besides is skipped, and counted.
    printf '[{"text":"aa"}, 5, "b, ]", null, [1, {"text":"c"}], {"other":1}, {"text":2}, {"text":"zz"}]' >x
    holds 'aa zz' --max-skipped 0.8 x
    run slt-tokenize --tokenizer "$MODEL" --max-skipped 0.8 -o a.tok x
    [[ $output == *"skipped 4 records that are no JSON objects; the first: record 2 of 'x'"* ]]
    [[ $output == *"skipped 1 JSON object without the field; the first: record 6 of 'x'"* ]]
    [[ $output == *"skipped 1 JSON object whose field is no text; the first: record 7 of 'x'"* ]]
}

@test "JSON without the field is refused, naming the fields it has" {
    printf '{"id":1,"meta":{"title":"x","body":"bb"},"url":NaN}\n{"id":2,"meta":{"body":"zz"}}\n' >x
    refused 1 "'x' is JSON without a field \"text\"; it has \"id\", \"meta.title\", \"meta.body\", \"url\"*hint: --field" x
    refused 1 "'x' is JSON without a field \"text\"" --format jsonl x
    refused 1 "'x' is JSON without a field \"meta.text\"" --field meta.text x
    holds 'bb zz' --field meta.body x
    sed '1s/^/[/; 1s/$/,/; 2s/$/]/' x >array
    refused 1 "'array' is JSON without a field \"text\"; it has \"id\"" array
    holds 'bb zz' --field meta.body array
    printf '{\n  "name": "package",\n  "version": "1"\n}\n' >x
    refused 1 "it has \"name\", \"version\"" x
    printf '["one", "two"]\n' >x
    refused 1 "'x' is a JSON array of strings, not of objects" x
    documents --format text x | cmp -n 15 - x
    printf '{"te.xt":"bb"}\n' >x
    holds bb --field te.xt x
    refused 2 "--field is given twice: 'a' and 'b'" --field a --field b x
    # What only looks a little like JSON is text.
    for text in '[1] A reference.\n[{x}] and more\n' '{\\rtf1}\n' '{ "a brace" }\n' '{"a": 1} is an object.\n{\n' '[Chapter 1]\n' \
        'x\n{"a": 1}\ny\nz\n'; do
        # shellcheck disable=SC2059 # escapes
        printf "$text" >x
        documents x | cmp -n "$(stat -c %s x)" - x
    done
}

@test "what a file is taken for is said" {
    printf '{"text":"aa"}\n' >x.jsonl
    printf '[{"text":"aa"}]' >y.json
    run slt-tokenize -v --tokenizer "$MODEL" -o a.tok x.jsonl x.jsonl y.json "$TEXT"
    echo "$output"
    [ "$(grep -c "'x.jsonl': json lines, field \"text\"" <<<"$output")" -eq 1 ]
    [[ $output == *"'y.json': a json array, field \"text\""*"/text': text"* ]]
    [[ $output == *"MB/s, read as 1 file of text, 2 files of json lines, field \"text\", 1 file of a json array, field"* ]]
    run slt-tokenize -v --tokenizer "$MODEL" -o a.tok x.jsonl
    [[ $output == *"MB/s, read as json lines, field \"text\"" ]]
}

@test "more than one document in a hundred that has to be skipped is a failure" {
    for ((i = 0; i < 99; i++)); do echo '{"text":"aa"}'; done >x
    echo '{"text":5}' >>x
    slt-tokenize --tokenizer "$MODEL" -o a.tok x
    echo 'no json' >>x
    refused 1 "2 of 101 documents had to be skipped*the first of them line 10*hint: --max-skipped" x
    slt-tokenize --tokenizer "$MODEL" --max-skipped 0.02 -o a.tok x
    refused 1 "1 of 1 documents" --max-skipped 1 - <<<'{"text":5}'
}

@test "one flipped bit of compressed text is found, whatever compressed it, in archives too" {
    for ((i = 0; i < 30; i++)); do echo "{\"text\":\"document $i says $((i * i))\"}"; done >x.jsonl
    documents x.jsonl >want
    tar cf x.tar x.jsonl
    local files=() f size at commands=(gzip xz bzip2 'zstd -q' 'lz4 -q')
    for command in "${commands[@]}"; do
        command -v "${command%% *}" >/dev/null || continue
        for f in x.jsonl x.tar; do
            $command -c $f >"$f.${command%% *}"
            files+=("$f.${command%% *}")
        done
        tar cf "member.${command%% *}.tar" "x.jsonl.${command%% *}"
        documents "member.${command%% *}.tar" | cmp - want
    done
    [ ${#files[@]} -ge 6 ]
    for f in "${files[@]}"; do
        documents "$f" | cmp - want
        size=$(stat -c %s "$f")
        for ((at = 20; at < size; at += size / 23 + 1)); do
            cp "$f" flipped
            printf "\\x$(printf %02x $((0x$(od -An -tx1 -j $at -N 1 "$f" | tr -d ' ') ^ 16)))" |
                dd of=flipped bs=1 seek=$at conv=notrunc status=none
            # Bits of no meaning may be flipped; then all is as it was.
            if slt-tokenize -q --tokenizer "$MODEL" -o f.tok flipped 2>err; then
                echo "$f, byte $at"
                documents flipped | cmp - want
            fi
        done
        for ((cut = 1; cut < size; cut += size / 7 + 1)); do
            head -c -$cut "$f" >cut
            # A tape's zeros may be missing.
            if slt-tokenize -q --tokenizer "$MODEL" -o f.tok cut 2>err; then
                echo "$f without $cut bytes"
                documents cut | cmp - want
            fi
        done
    done
    # gzip's streams one behind the other, then zeros, then something else.
    { gzip -c x.jsonl && gzip -c x.jsonl; } >twice.gz
    [ "$(documents twice.gz | wc -l)" -eq 60 ]
    { cat twice.gz && head -c 700 /dev/zero; } >padded.gz
    [ "$(documents padded.gz | wc -l)" -eq 60 ]
    { cat twice.gz && echo more; } >more.gz
    refused 1 "something else behind its gzip data" more.gz
    gzip -c x.jsonl | gzip | gzip >thrice.gz
    documents thrice.gz | cmp - want
    gzip <thrice.gz | gzip >five.gz
    refused 1 "is compressed more than 4 times" five.gz
}

@test "a member of a zip that was damaged or cut off is missed" {
    command -v zip >/dev/null || skip "no zip"
    for ((i = 0; i < 9; i++)); do echo "file number $i" >"f$i"; done
    zip -q all.zip f?
    zip -q -0 - f? </dev/null | cat >streamed.zip
    [ "$(documents all.zip | grep -c number)" -eq 9 ]
    [ "$(documents streamed.zip | grep -c number)" -eq 9 ]
    at=$(grep -abo $'PK\003\004' all.zip | sed -n 3p | cut -d: -f1)
    cp all.zip x.zip
    printf 'X' | dd of=x.zip bs=1 seek="$at" conv=notrunc status=none
    refused 1 "it has 9 members, of which 8 were found" x.zip
    head -c "$at" all.zip >x.zip
    refused 1 "cannot read 'x.zip'" x.zip
    head -c -10 all.zip >x.zip
    refused 1 "truncated zip archive without an end record" x.zip
    echo application/epub+zip >mimetype
    zip -q x.epub mimetype f1
    refused 1 "'x.epub' is a document of an office program or an e-book" x.epub
}

@test "text in other encodings is refused with the command that converts it" {
    local encoding
    printf 'caf\303\251 \342\202\254 and more words of text\nin lines\n' >ascii
    printf '\320\237\321\200\320\270\320\262\320\265\321\202 \320\274\320\270\321\200, \320\272\320\260\320\272\n' >russian
    printf '\340\244\250\340\244\256 \340\244\246\340\245\201\340\244\250\n' >hindi
    printf '\344\273\212\345\244\251 \345\244\251\346\260\224\n' >chinese
    for file in ascii russian hindi chinese; do
        for encoding in UTF-16LE UTF-16BE UTF-32LE UTF-32BE UTF-16 UTF-32; do
            iconv -f UTF-8 -t $encoding $file >x
            refused 1 "which is not read" x
            [ $encoding != UTF-16 ] || refused 1 "text in UTF-16LE, which is not read*hint: 'iconv -f UTF-16LE -t UTF-8'" --format text x
            gzip -c x >x.gz
            refused 1 "which is not read" x.gz
        done
    done
    iconv -f UTF-8 -t UTF-16LE ascii >x
    refused 1 "text in UTF-16LE" x
    iconv -f UTF-8 -t UTF-32BE russian >x
    refused 1 "text in UTF-32BE" x
    printf 'caf\351 is Latin-1\n' >x
    refused 1 "1 of 1 documents had to be skipped, among them 1 document that is no UTF-8, the first of them byte 4 of 'x'*hint: 'iconv -f ISO-8859-1" x
    refused 1 "line 1 of 'x'" --document line x
    printf '\xef\xbb\xbfwith a mark\n' >x
    documents x | head -n 1 | grep -qx 'with a mark'
}

@test "formats that are no text are named" {
    local -A kinds=(['PAR1\x15\x04']='a Parquet file' ['%%PDF-1.7\n']='a PDF document' ['7z\xbc\xaf\x27\x1c']='a 7z archive'
        ['ARROW1\0\0']='an Arrow file' ['Obj\x01']='an Avro file' ['SQLite format 3\0']='an SQLite database'
        ['  <!DocType HTML>']='an HTML page' ['<html lang="en">']='an HTML page'
        ['\xef\xbb\xbf<?xml version="1.0"?> <!-- a > b --><html xmlns="x">']='an HTML page' ['\x89PNG\r\n\x1a\n']='a PNG picture'
        ['\x01\x02\x03\x04text\x05']='binary data' ['GGUF\x03\0\0\0']='a GGUF model')
    for start in "${!kinds[@]}"; do
        # shellcheck disable=SC2059 # escapes
        printf "$start and what follows" >x
        refused 1 "'x' is ${kinds[$start]}, which is not read" x
    done
    printf '<!-- a comment --> <x>\n' >x
    documents x | grep -q comment
    refused 1 "'<stdin>' is a Parquet file*hint: python3 -c*pyarrow*columns=*body" --field body - < <(printf 'PAR1')
    refused 1 "a token file" "$BATS_FILE_TMPDIR/text.tok"
    printf '<html> as text' >x
    documents --format text x | grep -qx '<html> as text'
}

@test "archives in archives and other members that are no text are skipped, counted and named" {
    printf 'a text\n' >good
    printf 'PAR1\x15' >x.parquet
    tar cf inner.tar good
    for bad in x.parquet inner.tar; do
        tar cf x.tar good $bad
        refused 1 "1 of 2 documents*among them 1 file in an archive that is no text, the first of them '$bad' in 'x.tar' is a" x.tar
        slt-tokenize --tokenizer "$MODEL" --max-skipped 0.5 -o a.tok x.tar
    done
    printf '{"a":1}\n' >x.jsonl
    tar cf x.tar good x.jsonl
    refused 1 "'x.jsonl' in 'x.tar' is JSON without a field \"text\"" x.tar
    # A second name of the same file is not its text again.
    ln good again
    tar cf x.tar good again
    [ "$(documents x.tar | grep -c .)" -eq 1 ]
}

@test "empty documents are kept, and empty files counted" {
    printf 'one\n\n\ntwo\r\n \nthree' >x
    documents --document line x >found
    { cat x && echo; } | cmp - found
    printf '{"text":"aa"}\n{"text":""}\n{"text":"zz"}\n' >x
    documents x >found
    printf 'aa\n\nzz\n' | cmp - found
    [ "$(slt-info d.tok | value_of documents)" = 3 ]
    touch empty
    gzip -c empty >empty.gz
    tar cf empty.tar empty
    run slt-tokenize --tokenizer "$MODEL" -o a.tok x empty empty.gz empty.tar
    [ "$status" -eq 0 ]
    [[ $output == *"3 files are empty"* ]]
    # Lines of any length come back, and the ends of lines of Windows make blank ones, too.
    { head -c 900000 /dev/zero | tr '\0' 'x' && printf '\n\nlast\n'; } >x
    documents --document line x | cmp - x
    printf 'a\r\nb\r\n\r\nc\r\n\r\n\r\n\r\nd' >x
    slt-tokenize --tokenizer "$MODEL" --document blank -o a.tok x
    [ "$(slt-info a.tok | value_of documents)" = 3 ]
}

@test "a zstd window beyond the usual one is said with the command that reads it" {
    head -c 3000000 /dev/zero | tr '\0' 'x' | zstd -q --long=28 --no-content-size -c 2>/dev/null >x.zst || skip "no such zstd"
    refused 1 "looks back further than zstd does by default*hint: 'zstd -dc --long=31" x.zst
    zstd -q -dc --long=31 x.zst | documents - | grep -q xxx
}

@test "several streams: what stands between, behind and before them is no end" {
    local command
    echo '{"text":"a"}' >a
    echo '{"text":"b"}' >b
    for command in gzip bzip2 xz 'zstd -q' 'lz4 -q'; do
        command -v "${command%% *}" >/dev/null || continue
        echo "$command"
        $command -c a >a.x
        $command -c b >b.x
        : | $command -c >e.x
        cat a.x b.x e.x >all
        holds 'a b' all
        cat e.x a.x >all
        holds 'a' all
        slt-tokenize -q --tokenizer "$MODEL" -o e.tok e.x
        { cat a.x && printf x && cat b.x; } >all
        refused 1 "damage" all
        { cat a.x && head -c 12 b.x; } >all
        refused 1 "'all' is" all
        cp b.x c.x
        printf '\xff' | dd of=c.x bs=1 seek=1 conv=notrunc status=none
        cat a.x c.x >all
        refused 1 "'all' is damaged" all
    done
    { printf '\x50\x2a\x4d\x18\x04\0\0\0abcd' && zstd -q -c a; } >frame.zst
    holds a frame.zst
    { printf '\x5f\x2a\x4d\x18\xff\0\0\0abcd' && zstd -q -c a; } >frame.zst
    refused 1 "truncated" frame.zst
    printf '\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0' >x
    refused 1 "a file packed with lzma" x
}

@test "archives end where they end, and zeros are none" {
    printf 'a\n' >a
    printf 'b\n' >b
    tar cf a.tar a
    tar cf b.tar b
    [ "$(documents <(cat a.tar b.tar) | grep -c .)" -eq 2 ]
    gzip -k a.tar b.tar
    [ "$(documents <(cat a.tar.gz b.tar.gz) | grep -c .)" -eq 2 ]
    # A block of zeros in the middle.
    { head -c 1024 a.tar && head -c 512 /dev/zero && cat b.tar; } >zero.tar
    [ "$(documents zero.tar | grep -c .)" -eq 2 ]
    { cat a.tar && echo more; } >more.tar
    refused 1 "cannot read 'more.tar'" more.tar
    head -c 300 a.tar >cut.tar
    refused 1 "'cut.tar'" cut.tar
    cp a.tar bad.tar
    printf X | dd of=bad.tar bs=1 seek=20 conv=notrunc status=none
    refused 1 "'bad.tar' is a tar archive that is damaged or cut short" bad.tar
    tar cf none.tar -T /dev/null
    slt-tokenize --tokenizer "$MODEL" -o a.tok none.tar 2>&1 | grep -q '1 file is empty'
    for size in 512 600 1024000; do
        head -c $size /dev/zero >zeros
        refused 1 "'zeros' begins with zeros" zeros
    done
    { head -c 512 /dev/zero && cat a; } >zeros
    refused 1 "'zeros' begins with zeros" zeros
    # Text that goes on as zeros.
    { yes 'some text' | head -c 3000000 && head -c 700000 /dev/zero; } >tail
    refused 1 "documents of binary data" tail
    if command -v zip >/dev/null; then
        zip -q a.zip a
        zip -q b.zip b
        cat a.zip b.zip >two.zip
        refused 1 "more than one zip archive" two.zip
        zip -q -P secret s.zip a
        refused 1 "cannot read 'a' in 's.zip'" s.zip
        mkdir word
        echo '<x/>' >word/a.xml
        echo '<x/>' >'[Content_Types].xml'
        zip -q -nw x.docx word/a.xml '[Content_Types].xml'
        refused 1 "a document of an office program" x.docx
    fi
}

@test "JSON with faults is JSON with faults, not text" {
    local text
    # Each has a good record b that can be had.
    for text in '[{"text":"x\ty"},{"text":"b"}]' '[{"text":"1","text":"2"},{"text":"b"}]' '[null,{"text":"b"}]' \
        '[[],{"text":"b"}]' '[1, "two", {"text":"b"}]' '[{"text":"a",},{"text":"b"}]' \
        '{\n"text":"0\t"\n}\n{\n"text":"b"\n}' '{"text":"A","text":"B"}\n{"text":"b"}\n' \
        '{"text":"x\ty"}\n{"text":"b"}\n{"text":"z\tz"}\n' "{'text':'a'}\n{\"text\":\"b\"}\n" '{"text":"a",}\n{"text":"b"}\n' \
        '\x1e{"text":5}\n\x1e{"text":"b"}\n'; do
        # shellcheck disable=SC2059 # escapes
        printf "$text" >x
        echo "$text"
        refused 1 "had to be skipped" x
        holds b --max-skipped 0.9 x
    done
    for text in '[[{"text":"a"}]]' "{'text': 'a'}\n{'text': 'b'}\n" '{"text":"A","text":"B"}\n'; do
        # shellcheck disable=SC2059 # escapes
        printf "$text" >x
        refused 1 "had to be skipped" x
    done
    for text in '[ // a comment\n{"text":"a"}]' '[,{"text":"b"}]'; do
        # shellcheck disable=SC2059 # escapes
        printf "$text" >x
        refused 1 "'x' is damaged or truncated: its JSON array" x
    done
    printf '{"text":"A","text":"B"}\n{"text":"b"}\n' >x
    refused 1 "JSON object with the field twice" x
    # Blank lines in front, as many as there are.
    { head -c 3000000 /dev/zero | tr '\0' '\n' && printf '{"text":"b"}\n'; } >x
    holds b x
    # Text that begins like it.
    for text in '["a","b"].forEach(f)\n' '["section one"]\nkey=1\n' '[{}] hello\n' '{}\nhello\n'; do
        # shellcheck disable=SC2059 # escapes
        printf "$text" >x
        documents x | cmp -n "$(stat -c %s x)" - x
    done
}

@test "several objects on one line are several records" {
    { yes '{"text":"a"}' | head -n 1000 && yes '{"text":"b"}' | head -n 1000 | tr -d '\n' && printf '\n{"text":"c"}\n'; } >x
    [ "$(documents x | sort | uniq -c | tr -s ' ' | tr '\n' ';')" = ' 1000 a; 1000 b; 1 c;' ]
    printf '{"text":"a"}\n{"text":"b"}\xef\xbb\xbf{"text":"c"}\n' >x
    holds 'a b c' x
}

@test "a field of the whole name comes before one in an object" {
    printf '{"meta.text":"A","meta":{"text":"B"}}\n{"meta":{"text":"B"},"meta.text":"A"}\n{"meta":{"text":"B"}}\n' >x
    holds 'A A B' --field meta.text x
}

@test "a field that comes late is found where the format is given, and its absence said with its measure" {
    { yes "{\"x\":\"$(head -c 1000 /dev/zero | tr '\0' a)\"}" | head -n 3500 && yes '{"text":"b"}' | head -n 400000; } >x
    refused 1 "none of its first "*" objects has a field \"text\"; they have \"x\"" x
    slt-tokenize -q --format jsonl --tokenizer "$MODEL" -o a.tok x
    [ "$(slt-info a.tok | value_of documents)" = 400000 ]
}

@test "no output takes the place of what is read" {
    cp "$TEXT" in
    cp "$MODEL" m
    for run in "-t m -o in in" "-t m -o m in" "-t m -o a.tok --valid-fraction 0.5 --valid-output in in" \
        "--train-tokenizer in --vocab-size 300 -o a.tok in"; do
        # shellcheck disable=SC2086 # several words
        run slt-tokenize $run
        [ "$status" -eq 2 ]
        [[ $output == *"are the same file"* ]]
        cmp in "$TEXT"
        cmp m "$MODEL"
    done
}

@test "a token file that was changed is not decoded" {
    slt-tokenize -q --tokenizer "$MODEL" -o a.tok "$TEXT"
    printf '\x07' | dd of=a.tok bs=1 seek=100 conv=notrunc status=none
    run slt-tokenize --tokenizer "$MODEL" --decode a.tok
    [ "$status" -eq 1 ]
    [[ $output == *"'a.tok' "* ]]
}

@test "the small inputs that went wrong elsewhere give what they must" {
    need_shared cases/README.md
    local cases=$SLT_SHARED/cases
    holds 'aa zz' "$cases/jsonl/bom.jsonl"
    holds 'aa zz' "$cases/jsonl/blankfirst.jsonl"
    holds 'aa q r s zz' "$cases/jsonl/u64.jsonl"
    refused 1 'it has "text"' --field content "$cases/jsonl/wrongfield.jsonl"
    MODEL=$cases/gzip/spm.model refused 1 "incorrect data check" "$cases/gzip/flipped.jsonl.gz"
}
