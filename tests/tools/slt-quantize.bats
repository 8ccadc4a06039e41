# slt-quantize: errors below their bounds, the documented layout, pipes, and what it refuses.

setup_file() {
    load common
    cd "$BATS_FILE_TMPDIR"
    make_small_data
    slt-init --config tiny.json --tokenizer spm.model --method sltrain --rank 8 -o init.slt
    slt-train --data train.tok --steps 60 --batch 8 --seq 32 --lr 1e-2 --keep-state -o model.slt init.slt
    for t in int8 dyn8 nf4; do
        slt-quantize --type $t --report $t.tsv -o $t.slt model.slt
        slt-quantize --dequantize -o $t-back.slt $t.slt
    done
    for f in *.slt; do tar xOf "$f" model.safetensors >"${f%.slt}.safetensors"; done
}

setup() {
    load common
    mkdir "$BATS_TEST_TMPDIR/work"
    cd "$BATS_TEST_TMPDIR/work"
    DATA=$BATS_FILE_TMPDIR
}

# The numbers of a tensor, one a line, read as slt-checkpoint(5) says. FORMAT is od's: f4, d1, u1.
numbers() { # MODEL TENSOR FORMAT
    local file=$DATA/$1.safetensors header begin end
    header=$(od -An -t u8 -N 8 "$file" | tr -d ' ')
    read -r begin end < <(head -c $((8 + header)) "$file" | tail -c +9 |
        grep -o "\"${2//./\\.}\":{[^}]*" | sed -E 's/.*\[([0-9]+),([0-9]+)\]$/\1 \2/')
    od -An -v -w"${3:1}" -t "$3" -j $((8 + header + begin)) -N $((end - begin)) "$file" | tr -d ' '
}

# Every tensor that is quantized: type and name.
quantized() { # FILE
    slt-info "$1" | awk -F '\t' '$1 == "tensor" && ($4 == "I8" || $4 == "U8") { print $3 }'
}

TENSORS='model.embed_tokens.weight model.layers.0.self_attn.k_proj.lora_A model.layers.1.mlp.up_proj.lora_B
    model.layers.1.mlp.down_proj.sparse_value lm_head.weight'

# Checks |a - b| <= BOUND * (largest magnitude of a in the block), line by line of two files.
within() { # BLOCK BOUND A B
    paste "$3" "$4" | awk -v block="$1" -v bound="$2" '
        function flush(i) { for (i = 0; i < n; i++) if (e[i] > bound * max * 1.00001) bad = 1; n = max = 0 }
        { e[n] = $1 > $2 ? $1 - $2 : $2 - $1; m = $1 < 0 ? -$1 : $1; if (m > max) max = m; if (++n == block) flush() }
        END { flush(); exit bad || NR == 0 }'
}

@test "after quantizing and back every value is within the bound of its type" {
    while read -r type block bound; do
        for t in $TENSORS; do
            numbers model $t f4 >a
            numbers $type-back $t f4 >b
            within $block $bound a b
            if cmp -s a b; then false; fi
            # The bound is one: a quarter of it does not hold.
            if within $block "$(awk -v b=$bound 'BEGIN { print b / 4 }')" a b; then false; fi
        done
    done <<<'int8 256 0.0039370079
dyn8 256 0.00704
nf4 64 0.152'
}

@test "int8 can be read as the manual says" {
    for t in $TENSORS; do
        numbers int8 $t d1 >codes
        numbers int8 $t.absmax f4 >absmax
        numbers int8-back $t f4 >back
        [ "$(wc -l <absmax)" -eq $((($(wc -l <codes) + 255) / 256)) ]
        awk 'FNR == NR { s[NR - 1] = $1; next } { print $1 / 127 * s[int((FNR - 1) / 256)] }' absmax codes >mine
        paste mine back | awk '{ d = $1 - $2; if (d * d > 1e-10 * $1 * $1) bad = 1 } END { exit bad || NR == 0 }'
        awk '$1 > 127 || $1 < -127 { exit 1 }' codes
    done
}

@test "nf4 can be read as the manual says, the first code in the low half" {
    map='-1 -0.6961928 -0.52507305 -0.3949175 -0.28444138 -0.18477343 -0.091050036 0 0.0795803 0.1609302 0.2461123 0.33791524
        0.44070983 0.562617 0.72295684 1'
    for t in $TENSORS; do
        numbers nf4 $t u1 >codes
        numbers nf4 $t.absmax f4 >absmax
        numbers nf4-back $t f4 >back
        awk -v count="$(wc -l <back)" -v map="$map" 'BEGIN { split(map, m) } FNR == NR { s[NR - 1] = $1; next }
            { i = 2 * (FNR - 1); print m[1 + $1 % 16] * s[int(i / 64)]
              if (++i < count) print m[1 + int($1 / 16)] * s[int(i / 64)] }' absmax codes >mine
        [ "$(wc -l <mine)" -eq "$(wc -l <back)" ]
        paste mine back | awk '{ d = $1 - $2; if (d * d > 1e-10 * $1 * $1 + 1e-30) bad = 1 } END { exit bad || NR == 0 }'
    done
}

@test "scales come right before their codes, norms and the dequantized model are in F32" {
    for type in int8 dyn8 nf4; do
        slt-info "$DATA/$type.slt" | awk -F '\t' '$1 == "tensor" {
            if ($3 ~ /norm/) { if ($4 != "F32") bad = 1 }
            else if ($3 ~ /\.absmax$/) { if ($4 != "F32" || before != "") bad = 1; before = $3 }
            else { if ($4 !~ /^[IU]8$/ || before != $3 ".absmax") bad = 1; before = "" } } END { exit bad || NR == 0 }'
        [ "$(quantized "$DATA/$type.slt" | wc -l)" -eq 44 ]
        slt-info "$DATA/init.slt" | grep -v ^provenance >a
        slt-info "$DATA/$type-back.slt" | grep -v ^provenance | diff a -
        numbers model model.norm.weight f4 >a
        [ "$(wc -l <a)" -eq 32 ]
        numbers $type model.norm.weight f4 | cmp a -
    done
}

@test "slt-info reports type, block and the model's parameters, and --check takes it" {
    for type in int8 dyn8 nf4; do
        slt-info "$DATA/$type.slt" >info
        [ "$(value_of config.slt.quantization.type <info)" = $type ]
        [ "$(value_of config.slt.quantization.block <info)" = "$([ $type = nf4 ] && echo 64 || echo 256)" ]
        [ "$(value_of parameters <info)" -eq "$(slt-info "$DATA/model.slt" | value_of parameters)" ]
        slt-info --check "$DATA/$type.slt"
    done
}

@test "files are smaller: a byte or half a byte for a value, and the scales" {
    data_bytes() { echo $(($(wc -c <"$DATA/$1.safetensors") - 8 - $(od -An -t u8 -N 8 "$DATA/$1.safetensors"))); }
    full=$(data_bytes model)
    [ "$(data_bytes int8)" -lt $((full * 27 / 100)) ]
    [ "$(data_bytes nf4)" -lt $((full * 16 / 100)) ]
}

@test "perplexity changes little, and is that of the dequantized model to the last digit" {
    slt-eval --data "$DATA/valid.tok" --seq 32 --limit 3000 "$DATA/model.slt" | value_of loss >loss
    for type in int8 dyn8 nf4; do
        slt-eval --data "$DATA/valid.tok" --seq 32 --limit 3000 "$DATA/$type.slt" >a
        slt-eval --data "$DATA/valid.tok" --seq 32 --limit 3000 "$DATA/$type-back.slt" | cmp a -
        value_of loss <a
    done >losses
    # A change there is: these are not the model's own values.
    cat loss losses | paste -s | awk '{ exit !(NF == 4 && $1 > 0 && $2 != $1 && ($2 - $1) ^ 2 < 0.003 ^ 2 &&
        $3 != $1 && ($3 - $1) ^ 2 < 0.003 ^ 2 && $4 != $1 && ($4 - $1) ^ 2 < 0.05 ^ 2) } END { if (NR != 1) exit 1 }'
    slt-generate --prompt 'static int' --max-tokens 8 --temperature 0 "$DATA/int8.slt" >a
    [ "$(wc -c <a)" -gt 11 ]
    slt-generate --prompt 'static int' --max-tokens 8 --temperature 0 "$DATA/int8-back.slt" | cmp - a
}

@test "the report: a line for each quantized tensor and the total, errors as they are" {
    for type in int8 dyn8 nf4; do
        [ "$(head -n 1 "$DATA/$type.tsv")" = $'tensor\tvalues\trms_relative_error\tmax_error' ]
        [ "$(wc -l <"$DATA/$type.tsv")" -eq 46 ]
        diff <(sed '1d;$d' "$DATA/$type.tsv" | cut -f 1) <(quantized "$DATA/$type.slt")
        awk -F '\t' 'NR > 1 && $1 != "total" { n += $2 } $1 == "total" && n == $2 && $3 > 0 && $4 > 0 { good = 1 }
            END { exit !good }' "$DATA/$type.tsv"
        for t in $TENSORS; do
            paste <(numbers model $t f4) <(numbers $type-back $t f4) |
                awk '{ d = $1 - $2; s += $1 ^ 2; e += d ^ 2; d = d < 0 ? -d : d; if (d > max) max = d }
                    END { print NR, sqrt(e / s), max }' >want
            awk -F '\t' -v t=$t '$1 == t { print $2, $3, $4 }' "$DATA/$type.tsv" | paste -d ' ' - want |
                awk '{ if ($1 != $4 || ($2 / $5 - 1) ^ 2 > 1e-6 || ($3 / $6 - 1) ^ 2 > 1e-6) bad = 1 }
                    END { exit bad || NR != 1 }'
        done
    done
    slt-quantize -v --report - -o out.slt "$DATA/model.slt" >stdout 2>stderr
    cmp stdout "$DATA/int8.tsv"
    [ "$(grep -c '^slt-quantize: .* rms error' stderr)" -eq 45 ]
    cmp out.slt "$DATA/int8.slt"
}

@test "through pipes, and zstd" {
    slt-init --config "$DATA/tiny.json" --tokenizer "$DATA/spm.model" --rank 8 | slt-quantize --type int8 |
        slt-eval --data "$DATA/valid.tok" --seq 32 - >out
    awk -F '\t' '$1 == "perplexity" { exit !($2 > 480 && $2 < 540) }' out
    zstd -qc "$DATA/model.slt" | slt-quantize --type nf4 - | zstd -qc | slt-quantize --dequantize - | cmp - "$DATA/nf4-back.slt"
}

@test "the same bytes again, with any number of threads" {
    for n in 1 2 3; do
        for type in int8 dyn8 nf4; do
            OMP_NUM_THREADS=$n slt-quantize --type $type --report r.tsv "$DATA/model.slt" | cmp - "$DATA/$type.slt"
            cmp r.tsv "$DATA/$type.tsv"
        done
    done
}

@test "what int8 and nf4 have once they keep" {
    for type in int8 nf4; do
        slt-quantize --no-provenance --type $type -o again.slt "$DATA/$type-back.slt"
        tar xOf again.slt model.safetensors | cmp - "$DATA/$type.safetensors"
    done
}

@test "blocks of any size, every method" {
    for method in full lowrank sltrain; do
        slt-init --config "$DATA/tiny.json" --method $method -o m.slt
        for how in '--block 1' '--type nf4 --block 7' '--type dyn8 --block 100' '--type nf4 --block 65536'; do
            slt-quantize $how -o q.slt m.slt
            slt-info --check q.slt
            slt-quantize --dequantize q.slt | slt-info --check -
        done
    done
    # Of a block of one the scale is the value.
    slt-quantize --block 1 m.slt | slt-quantize --dequantize - | tar xO model.safetensors | cmp - <(tar xOf m.slt model.safetensors)
    # A sparse part without a position stays as it is.
    slt-init --config "$DATA/tiny.json" --density 1e-9 -o m.slt
    slt-quantize -o q.slt m.slt
    slt-info q.slt | grep -q $'sparse_value\tF32\t0\t0$'
    slt-quantize --dequantize q.slt | slt-info --check -
}

@test "a tensor larger than what is coded at once" {
    # Embedding and head have 524288 values each.
    slt-init --preset nano -o m.slt
    slt-quantize --block 1 m.slt | slt-quantize --dequantize - | tar xO model.safetensors | cmp - <(tar xOf m.slt model.safetensors)
    slt-quantize --type nf4 --block 77 -o q.slt m.slt
    slt-quantize --dequantize q.slt | slt-quantize --type nf4 --block 77 - | tar xO model.safetensors |
        cmp - <(tar xOf q.slt model.safetensors)
}

@test "optimizer state is left out" {
    tar tf "$DATA/model.slt" | grep -q optimizer
    [ "$(tar tf "$DATA/int8.slt" | tr '\n' ' ')" = \
        'config.json tokenizer.model model.safetensors provenance.jsonl MANIFEST.sha256 ' ]
}

@test "a provenance line with type and block is added" {
    tar xOf "$DATA/nf4-back.slt" provenance.jsonl >lines
    [ "$(wc -l <lines)" -eq 4 ]
    sed -n 3p lines | grep -Eq '^\{"tool":"slt-quantize","version":"[0-9.]+","type":"nf4","block":64\}$'
    sed -n 4p lines | grep -Eq '^\{"tool":"slt-quantize","version":"[0-9.]+","dequantize":true\}$'
    slt-quantize --no-provenance -o q.slt "$DATA/model.slt"
    tar xOf q.slt provenance.jsonl | cmp - <(tar xOf "$DATA/model.slt" provenance.jsonl)
}

refused() { # STATUS SENTENCE COMMAND...: fails, says so, and leaves nothing behind
    local status=0 want=$1 sentence=$2
    shift 2
    "$@" >out 2>err || status=$?
    echo "$*: $status $(cat err)"
    [ "$status" -eq "$want" ] && grep -qF -- "$sentence" err && [ ! -e result ] && ! ls -A | grep -q '\.tmp$'
}

@test "what is quantized already, or not at all, is refused" {
    refused 1 'is quantized already (nf4)' slt-quantize -o result "$DATA/nf4.slt"
    refused 1 'is not quantized' slt-quantize --dequantize -o result "$DATA/model.slt"
    refused 1 'dequantize it first' slt-train --data "$DATA/train.tok" --steps 1 -o result "$DATA/int8.slt"
    [ ! -s out ]
    # A configuration taken from a quantized model makes a plain one.
    tar xOf "$DATA/int8.slt" config.json >config.json
    slt-init --config config.json | slt-quantize - | slt-info --check -
}

@test "wrong usage" {
    for how in '--type int4' '--block 0' '--block 65537' '--block 3x' '--dequantize --type int8' '--dequantize --block 64' \
        '--dequantize --report r' 'a b'; do
        refused 2 slt-quantize slt-quantize $how -o result
        [ ! -e r ]
    done
    refused 2 "only one of the outputs can be '-'" slt-quantize --report - "$DATA/model.slt"
    [ ! -s out ]
}

# repacked.slt: a checkpoint like $1 with other text in its members and a manifest that fits.
repack() { # FILE SED-SCRIPT
    rm -rf members && mkdir members
    tar xf "$1" -C members
    (
        cd members
        LC_ALL=C sed -i "$2" config.json model.safetensors
        names=$(tar tf "$1" | grep -v MANIFEST)
        sha256sum $names >MANIFEST.sha256
        tar cf ../repacked.slt $names MANIFEST.sha256
    )
}

@test "values that are not finite are refused with the tensor's name" {
    # The tenth value from the end of the last tensor, the head.
    tar xf "$DATA/init.slt"
    size=$(wc -c <model.safetensors)
    printf '\377\377\377\377' | dd of=model.safetensors bs=1 seek=$((size - 40)) conv=notrunc status=none
    names='config.json tokenizer.model model.safetensors provenance.jsonl'
    sha256sum $names >MANIFEST.sha256
    tar cf nan.slt $names MANIFEST.sha256
    slt-info --check nan.slt
    for type in int8 dyn8 nf4; do
        refused 1 "tensor 'lm_head.weight' has the value" slt-quantize --type $type -o result nan.slt
        grep -q 'at place 16374$' err
    done
}

@test "scales that are not finite or negative are refused" {
    tar xf "$DATA/int8.slt"
    header=$(od -An -t u8 -N 8 model.safetensors | tr -d ' ')
    names='config.json tokenizer.model model.safetensors provenance.jsonl'
    for bytes in '\377\377\377\377' '\0\0\200\277'; do
        printf "$bytes" | dd of=model.safetensors bs=1 seek=$((8 + header)) conv=notrunc status=none
        sha256sum $names >MANIFEST.sha256
        tar cf bad.slt $names MANIFEST.sha256
        refused 1 "'model.embed_tokens.weight.absmax' has the value" slt-quantize --dequantize -o result bad.slt
        refused 1 "'model.embed_tokens.weight.absmax' has the value" slt-eval --data "$DATA/valid.tok" -o result bad.slt
    done
}

@test "tensors that do not fit the configuration are refused" {
    # Another block, another type, no scales where codes are, a quantization that nobody knows.
    repack "$DATA/int8.slt" 's/"block": 256/"block": 128/'
    refused 1 "not of the type and shape of int8 with blocks of 128" slt-eval --data "$DATA/valid.tok" -o result repacked.slt
    refused 1 "not of the type and shape" slt-info --check repacked.slt
    repack "$DATA/int8.slt" 's/"type": "int8"/"type": "dyn8"/'
    refused 1 "not of the type and shape of dyn8" slt-quantize --dequantize -o result repacked.slt
    repack "$DATA/int8.slt" 's/"lm_head.weight.absmax"/"lm_head.weight.absmin"/'
    refused 1 "'lm_head.weight.absmin'" slt-quantize --dequantize -o result repacked.slt
    repack "$DATA/int8.slt" 's/"type": "int8"/"type": "int7"/'
    refused 1 "unknown type of quantization 'int7' (known: int8, dyn8, nf4)" slt-info --check repacked.slt
    repack "$DATA/int8.slt" 's/"block": 256/"block": 0/'
    refused 1 'quantization.block 0 is outside' slt-info --check repacked.slt
    repack "$DATA/init.slt" 's/"num_hidden_layers": 2/"num_hidden_layers": 3/'
    refused 1 'only 49 of 72 tensors are there' slt-quantize -o result repacked.slt
    repack "$DATA/init.slt" 's/"hidden_size": 32/"hidden_size": 34/;s/"head_dim": 16/"head_dim": 2/'
    refused 1 'that config.json asks for' slt-quantize -o result repacked.slt
}

@test "of a damaged input nothing passes as whole, in a pipe either" {
    size=$(wc -c <"$DATA/model.slt")
    for cut in 600 20000 $((size / 2)) $((size - 2000)); do
        head -c $cut "$DATA/model.slt" >cut.slt
        refused 1 slt-quantize slt-quantize --report result -o q.slt cut.slt
        [ ! -e q.slt ]
        refused 1 slt-quantize slt-quantize - <cut.slt
        if slt-info --check out; then false; fi
        if tar tf out 2>tar.err | grep MANIFEST; then false; fi
    done
    # One bit in the last tensor, of which only the manifest can know.
    cp "$DATA/model.slt" flipped.slt
    at=$(grep -abo trainer.json flipped.slt | head -n 1 | cut -d : -f 1)
    printf '\1' | dd of=flipped.slt bs=1 seek=$((at - 2000)) conv=notrunc status=none
    refused 1 slt-quantize slt-quantize flipped.slt
    if tar tf out 2>tar.err | grep MANIFEST; then false; fi
}

@test "the manual's examples" {
    cp "$DATA"/*.slt "$DATA"/*.tok "$DATA"/spm.model .
    mandoc -T ascii -O width=300 "$ROOT/man/slt-quantize.1" | sed 's/.\x08//g' |
        sed -n '/^EXAMPLES/,/^SEE ALSO/s/^ *\(slt-[a-z]* .*\)/\1/p' >examples
    [ "$(wc -l <examples)" -eq 4 ]
    while read -r line; do
        run bash -o pipefail -c "$line"
        echo "$line: $status $output"
        [ "$status" -eq 0 ]
    done <examples
}
