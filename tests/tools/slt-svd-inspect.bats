# slt-svd-inspect: rows that agree with each other, streams, pictures, and what it refuses.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    slt-init --config tiny.json --tokenizer spm.model --rank 8 --density 0.1 --seed 3 -o new.slt
    slt-train --data train.tok --batch 4 --seq 32 --steps 30 --lr 1e-2 -o model.slt new.slt
    slt-init --from model.slt --method full -o dense.slt
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
}

# Column N of the lines whose first columns are these.
column() { # N FIRST...
    awk -F '\t' -v OFS='\t' -v n="$1" -v want="$(IFS=$'\t'; echo "${*:2}")" 'index($0 "\t", want "\t") == 1 { print $n }' all
}

@test "every linear has its lines, and their numbers fit together" {
    slt-svd-inspect --spectra -o all "$DATA/model.slt"
    [ "$(grep -c '^linear' all)" -eq 14 ]
    [ "$(grep -c '^spectrum' all)" -eq 42 ]
    [ "$(grep -c '^overlap' all)" -eq 14 ]
    L=model.layers.1.mlp.down_proj
    [ "$(column 3 linear $L)" = 32 ]
    [ "$(column 4 linear $L)" = 44 ]
    [ "$(column 5 linear $L)" = 8 ]
    for part in W BA S; do
        [ "$(column 5 singular $L $part | wc -l)" -eq 32 ]
        column 5 singular $L $part | awk -v f="$(column 5 spectrum $L $part)" -v e="$(column 7 spectrum $L $part)" \
            '{ s += $1 * $1; if (NR <= 8) lead += $1 * $1; if (NR > 1 && $1 > last) exit bad = 1; last = $1 }
             END { exit bad || (sqrt(s) / f - 1) ^ 2 > 1e-10 || (lead / s - e) ^ 2 > 1e-10 }'
    done
    # BA has rank 8; what it and S give adds up to W.
    awk -v e="$(column 7 spectrum $L BA)" 'BEGIN { exit !(e > 0.99999) }'
    paste <(column 5 singular $L W) <(column 5 singular $L W.BA) <(column 5 singular $L W.S) |
        awk '($1 - $2 - $3) ^ 2 > 1e-10 { exit bad = 1 } END { exit bad || NR != 32 }'
    # The residual has what is behind the rank.
    awk -v e="$(column 7 spectrum $L W)" -v r="$(column 3 residual $L)" 'BEGIN { exit !((1 - e - r) ^ 2 < 1e-8) }'
    # A distribution ascends from the least to the largest element.
    [ "$(column 4 cdf $L | tail -n 1)" = "$(column 8 residual $L)" ]
    [ "$(column 4 cdf $L | wc -l)" -gt 9 ]
    column 4 cdf $L | sort -g -c
}

@test "the merged model has the same W; pattern, rank and streams" {
    L='*.0.self_attn.?_proj'
    slt-svd-inspect --layer "$L" --rank 5 "$DATA/model.slt" | grep '	W	' >a
    slt-svd-inspect --layer "$L" --rank 5 "$DATA/dense.slt" | grep '	W	' >b
    [ "$(wc -l <a)" -eq 4 ]
    paste a b | awk -F '\t' '{ for (i = 4; i <= 11; i++) if (($i - $(i + 12)) ^ 2 > 1e-8 * $i ^ 2) exit bad = 1 } END { exit bad }'
    slt-svd-inspect "$DATA/model.slt" >one
    slt-svd-inspect - <"$DATA/model.slt" | cmp - one
    slt-quantize "$DATA/dense.slt" | slt-svd-inspect | grep -c '^linear' >count
    [ "$(cat count)" -eq 14 ]
}

@test "leading values by the range finder are within their bound" {
    L=model.layers.0.mlp.up_proj
    slt-svd-inspect --spectra --layer $L --rank 6 -o all "$DATA/dense.slt"
    column 5 singular $L W | head -n 6 >exact
    slt-svd-inspect --spectra --layer $L --rank 6 --randomized -o all "$DATA/dense.slt"
    [ "$(column 9 singular $L W | wc -l)" -eq 6 ]
    paste exact <(column 5 singular $L W) | awk -v bound="$(column 12 spectrum $L W)" \
        '{ if ($2 > $1 * 1.00001 || $2 < $1 * 0.999 || $1 - $2 > bound) exit bad = 1 } END { exit bad || NR != 6 || !(bound > 0) }'
    [ "$(column 8 spectrum $L W)" = nan ]
}

@test "JSON has the same numbers" {
    slt-svd-inspect --layer '*.1.*.q_proj' -o all "$DATA/model.slt"
    slt-svd-inspect --layer '*.1.*.q_proj' --json "$DATA/model.slt" >o.json
    L=model.layers.1.self_attn.q_proj
    grep -q "\"name\": \"$L\"" o.json
    json=$(grep -A 20 '"residual"' o.json | sed -n 's/.*"share": \([0-9.e-]*\).*/\1/p')
    awk -v a="$json" -v b="$(column 3 residual $L)" 'BEGIN { exit !(a > 0 && (a / b - 1) ^ 2 < 1e-12) }'
}

@test "maps and figures" {
    mkdir pictures
    slt-svd-inspect --layer '*.1.mlp.down_proj' --images pictures "$DATA/model.slt" >/dev/null
    for what in weight residual; do
        f=pictures/model.layers.1.mlp.down_proj.$what.pgm
        [ "$(head -n 1 $f)" = P5 ]
        [ "$(sed -n 3p $f)" = "44 32" ]
        [ "$(wc -c <$f)" -eq $(($(head -n 4 $f | wc -c) + 44 * 32)) ]
    done
    # The whole weight is at least as bright as what is left of it, and has a white pixel.
    brightness() { tail -c $((44 * 32)) "pictures/model.layers.1.mlp.down_proj.$1.pgm" | od -An -v -tu1 -w1 | awk '{ s += $1; if ($1 > m) m = $1 } END { print s, m }'; }
    read -r all most <<<"$(brightness weight)"
    read -r rest _ <<<"$(brightness residual)"
    [ "$most" -eq 255 ]
    [ "$all" -gt "$rest" ]
    [ "$rest" -gt 0 ]
    run slt-svd-inspect --images none "$DATA/model.slt"
    [ "$status" -eq 1 ]
    command -v gnuplot >/dev/null || skip "no gnuplot"
    slt-svd-inspect --layer '*.1.mlp.down_proj' --plot pictures "$DATA/model.slt" >/dev/null
    for what in spectrum.svg residual.png cdf.svg parts.svg; do
        [ "$(wc -c <"pictures/model.layers.1.mlp.down_proj.$what")" -gt 3000 ]
    done
    grep -q 'singular value' pictures/*.spectrum.svg
    run slt-svd-inspect --layer '*.1.mlp.down_proj' --plot none "$DATA/model.slt"
    [ "$status" -eq 1 ]
}

@test "an input that proves damaged leaves no pictures" {
    mkdir pictures
    head -c -3000 "$DATA/model.slt" >cut.slt
    run slt-svd-inspect --layer '*.0.mlp.down_proj' --images pictures -o report cut.slt
    [ "$status" -eq 1 ]
    [ -z "$(ls -A pictures)" ]
    [ ! -e report ]
    slt-svd-inspect --layer '*.0.mlp.down_proj' --images pictures -o report "$DATA/model.slt"
    [ -n "$(ls pictures)" ]
}

@test "values that are not finite, and patterns that match nothing, are refused" {
    cp "$DATA/dense.slt" .
    printf '\0\0\300\177' >nan
    damage dense.slt "$(places dense.slt x | awk '$1 ~ /layers.1.mlp.up_proj/ { print $2 + 40 }')" nan bad.slt
    run slt-svd-inspect bad.slt
    [ "$status" -eq 1 ]
    [[ $output == *layers.1.mlp.up_proj*"not finite"* ]]
    run slt-svd-inspect --layer nothing "$DATA/model.slt"
    [ "$status" -eq 2 ]
    [[ $output == *"no linear"* ]]
    run slt-svd-inspect -o partial <(head -c 50000 "$DATA/model.slt")
    [ "$status" -eq 1 ]
    [ ! -e partial ]
}
