# The archives that run where nothing is installed: what is in them, the programs out of them, and the checks for a GPU, with
# the emulation in its place.

setup_file() {
    load common
    command -v patchelf >/dev/null && command -v cpio >/dev/null || skip "no patchelf or cpio"
    cd "$BATS_FILE_TMPDIR"
    make_text text
    (cd "$ROOT" && BUILD=$BIN VERSION=1.2.3 LEVEL=0 tools/make-portable "$BATS_FILE_TMPDIR/out")
    for archive in out/*.tar.xz; do tar -xJf "$archive"; done
}

setup() {
    load common
    TREE=$BATS_FILE_TMPDIR/slt-1.2.3-$(uname -m)
    cd "$BATS_TEST_TMPDIR"
}

# A root of the archive and of glibc alone, of which what is newer than 2.34 bears other names.
make_root() {
    mkdir -p root/data root/proc root/tmp root/lib64
    cp -a "$TREE" root
    for library in $(ldd "$TREE/bin/slt-train" | grep -oE '/[^ ]*/(libc|libm|libpthread|libdl|librt|ld-linux-x86-64)\.so[.0-9]*'); do
        mkdir -p "root$(dirname "$library")"
        LC_ALL=C sed -E 's/GLIBC_2\.(3[5-9]|[4-9][0-9])/GLIBC_X.\1/g; s/arc4random/brc4random/g; s/_dl_find_object/_dl_hide_object/g' \
            "$library" >"root$library"
        chmod +x "root$library"
    done
    mount -t proc proc root/proc 2>/dev/null || echo "no root of its own: not allowed here"
    [ -d root/proc/self ] && at=/data || at=$PWD/root/data
}

# COMMAND...: as where nothing else is installed: with no variables, and if this is root in a root of glibc alone.
bare() {
    if [ -d "$BATS_TEST_TMPDIR/root/proc/self" ]; then
        env -i PATH="/$(basename "$TREE")/bin" "$(command -v chroot || echo /usr/sbin/chroot)" root "$@"
    else
        (cd root/data && env -i PATH="$TREE/bin" "$@")
    fi
}

@test "text to a perplexity with the programs of the archive, in a root that has glibc 2.34 and nothing else" {
    make_root
    cp "$BATS_FILE_TMPDIR/text" root/data
    echo '{"vocab_size": 512, "hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 2, "num_attention_heads": 2}' \
        >root/data/tiny.json
    status=0
    bare slt-tokenize -q --train-tokenizer $at/spm.model --vocab-size 512 --document blank --valid-output $at/valid.tok \
        --valid-fraction 0.1 -o $at/train.tok $at/text &&
        bare slt-init -q --config $at/tiny.json --tokenizer $at/spm.model --start svd -o $at/init.slt &&
        bare slt-train -q --data $at/train.tok --steps 3 --batch 4 --seq 24 --lr 1e-3 -o $at/out.slt $at/init.slt &&
        bare slt-quantize -q -o $at/small.slt $at/out.slt &&
        bare slt-eval -q --data $at/valid.tok $at/small.slt >report &&
        bare slt-generate -q -n 5 --prompt 'static int' $at/small.slt >generated || status=$?
    umount root/proc 2>/dev/null || true
    [ "$status" -eq 0 ]
    cat report generated
    [ "$(value_of perplexity <report | cut -d . -f 1)" -gt 100 ]
    [[ $(cat generated) == "static int"* ]]
}

# It throws out of a function that libsentencepiece calls: through its frames, which libgcc has to find.
@test "exceptions pass through the libraries of the archive with glibc 2.34" {
    cat >thrower.cc <<'END'
#include <sentencepiece_trainer.h>
#include <cstdio>
#include <stdexcept>
struct thrower : sentencepiece::SentenceIterator {
    std::string line;
    bool done() const override { return false; }
    void Next() override {}
    const std::string &value() const override { throw std::runtime_error("thrown through it"); }
    sentencepiece::util::Status status() const override { return {}; }
};
int main()
{
    thrower sentences;
    try {
        (void)sentencepiece::SentencePieceTrainer::Train({{"model_prefix", "m"}, {"minloglevel", "2"}}, &sentences);
    } catch (const std::exception &e) {
        std::puts(e.what());
    }
}
END
    make_root
    g++ -o root/data/thrower thrower.cc -L"$TREE/lib" -l:libsentencepiece_train.so.0 -l:libsentencepiece.so.0 \
        -Wl,--disable-new-dtags,--allow-shlib-undefined,-rpath,"\$ORIGIN/../$(basename "$TREE")/lib"
    status=0
    bare $at/thrower >said || status=$?
    umount root/proc 2>/dev/null || true
    [ "$status" -eq 0 ]
    [ "$(cat said)" = "thrown through it" ]
}

@test "a file that needs a newer glibc is named with what it needs, and no archive is made" {
    [ "$(uname -m)" = x86_64 ] || skip "other versions than x86-64's"
    run env GLIBC=2.33 BUILD="$BIN" VERSION=1.2.3 LEVEL=0 bash -c 'cd "$1" && tools/make-portable "$2"' - "$ROOT" "$PWD/none"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"/bin/slt-train' needs __libc_start_main of GLIBC_2.34"* ]]
    [[ ${lines[-1]} == "make-portable: the archives would not run with glibc 2.33" ]]
    [ -z "$(ls none)" ]
}

@test "no library comes from elsewhere, no file asks for a glibc newer than 2.34, and licences are there" {
    for file in "$TREE"/bin/* "$TREE"/lib/*.so*; do
        ldd "$file" | awk -v tree="$TREE" '$2 == "=>" && index($3, tree "/") != 1 &&
            $1 !~ /^(libc|libm|libpthread|libdl|librt|libresolv|libutil)\.so/ { print FILENAME $0; bad = 1 } END { exit bad }'
    done
    for file in "$TREE-tests"/build/{tests,bench}/*; do
        ldd "$file" | awk '$2 == "=>" { print $3 }' | xargs realpath | awk -v tree="$TREE" -v file="$file" 'index($0, tree "/") != 1 &&
            !/\/(libc|libm|libpthread|libdl|librt)[-.0-9]*\.so/ { print file, $0; bad = 1 } END { exit bad }'
    done
    grep -q 'with glibc 2\.34 or newer' "$TREE/README"
    find "$TREE" "$TREE-tests" -type f -exec objdump -p {} + 2>/dev/null | grep -o 'GLIBC_[2A].*' | sort -uV | tail -n 1 >newest
    cat newest
    [ "$(printf '%s\n' GLIBC_2.34 "$(cat newest)" | sort -V | tail -n 1)" = GLIBC_2.34 ]
    for package in slt libarchive13 zlib1g libgcc-s1 libstdc++6; do
        [ -s "$TREE/share/licenses/$package" ] || { ls "$TREE/share/licenses"; false; }
    done
    [ -s "$TREE/share/man/man1/slt-train.1" ]
}

@test "the checks for a GPU say a line for each finding, and fail where one fails" {
    cp "$BIN/emulation/libslt-cuda.so" "$TREE-tests/build"
    mkdir bin
    printf '#!/bin/sh\necho "a GPU, 1.0, 1 MiB"\n' >bin/nvidia-smi
    chmod +x bin/nvidia-smi
    unset BUILD # its own
    run env PATH="$PWD/bin:$PATH" "$TREE-tests/tests/gpu-checks" out smoke
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(cut -f 1-3 out/findings.tsv | tr '\t\n' ' ,')" = "smoke gpu ok,smoke device ok,smoke recorded ok,smoke precompiled ok," ]
    grep -q 'a GPU, 1.0' out/smoke-gpu.txt
    printf '#!/bin/sh\necho "no driver" >&2\nexit 9\n' >bin/nvidia-smi
    SLT_EMULATION_DEVICES=0 PATH="$PWD/bin:$PATH" run "$TREE-tests/tests/gpu-checks" bad smoke
    echo "$output"
    [ "$status" -eq 1 ]
    grep -q "^smoke.gpu.failed (9).[0-9]*.no driver$" bad/findings.tsv
    grep -q "^smoke.device.failed (1).[0-9]*.slt-train: cannot use device 'cuda'" bad/findings.tsv
    run "$TREE-tests/tests/gpu-checks" out nonsense
    [ "$status" -eq 2 ]
    [[ $output == *"no stage 'nonsense'"* ]]
}

# NAME: a program of that name, from stdin, that the checks find first.
stand_in() {
    mkdir -p bin
    { echo '#!/bin/sh' && cat; } >"bin/$1"
    chmod +x "bin/$1"
}

@test "each stage of the checks for a GPU runs, at small sizes and with stand-ins for what takes long" {
    cp -a "$TREE-tests" .
    ln -s "$TREE" .
    checks=$PWD/$(basename "$TREE")-tests
    cp "$BIN/emulation/libslt-cuda.so" "$checks/build"
    for test in linear sparse operations train; do
        echo 'echo "1 passed, 0 failed"' | stand_in "test_$test"
    done
    mv bin/test_* "$checks/build/tests"
    printf '@test "a test of the programs" { slt-init --version; }\n' >"$checks/tests/tools/cuda.bats"
    echo 'echo "a GPU"' | stand_in nvidia-smi
    echo '[ "$1" = -c ] || echo "1000 0.5"' | stand_in python3
    stand_in ncu <<'END'
while [ ! -x "$1" ]; do shift; done
echo "==PROF== Connected"
"$@" || exit
echo '"ID","Kernel Name","Block Size","Metric Name","Metric Unit","Metric Value"'
echo '"0","add","(256, 1, 1)","gpu__time_duration.sum","ns","1,500"'
echo '"1","scale","(256, 1, 1)","gpu__time_duration.sum","ns","4,000"'
echo '"2","add","(256, 1, 1)","gpu__time_duration.sum","ns","1,500"'
END
    unset BUILD # its own
    export PATH=$PWD/bin:$PATH PRESETS=nano MODEL='--vocab-size 64' STEPS=1 SEQ=8 BATCHES=1 PROFILES=nano:1
    export PLANS=$'nano --method sltrain --optimizer adam8bit --per-layer\nnano --method full --optimizer galore'
    export RUN_PRESET=nano RUN_BATCH=2 RUN_VOCAB=512 MINUTES=0.01
    run "$checks/tests/gpu-checks" out
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(cut -f 1-3 out/findings.tsv | sed '/^smoke/d' | tr '\t\n' ' ,')" = "linear linear ok,linear sparse ok,train operations ok,\
train train ok,tools tools ok,speed speed ok,profile nano-full ok,profile nano-sltrain ok,profile routes ok,peers peers ok,\
memory memory ok,run full ok,run sltrain ok," ]
    [ "$(tr '\t' ' ' <out/profile-nano-full.tsv)" = $'scale 1 4.0\nadd 2 3.0' ]
    grep -qx $'all\t3\t7.0' out/profile-nano-full.txt
    grep -q '^nano.PyTorch, galore, without 0.5 s for its projectors.8.1000.' out/gpu-a-GPU-peers.tsv
    awk -F '\t' '$1 == "nano" { rows++; bad += $9 == "" || $9 != $10 || !($8 > 0) } END { exit bad > 0 || rows != 2 }' out/gpu-a-GPU-memory.tsv
    grep -q '"loss":' out/run-sltrain.jsonl
    echo 'echo "No module named torch" >&2; exit 1' | stand_in python3
    run "$checks/tests/gpu-checks" out peers
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$output" = $'peers\tpeers\tleft out\t0\tno PyTorch: No module named torch' ]
    PLANS=$'nano --method sltrain --rank 0\nnano --method full' run "$checks/tests/gpu-checks" out memory
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == $'memory\tmemory\tfailed (1)'* ]]
    grep -q "^nano --method sltrain --rank 0: slt-plan: --rank '0' is outside" out/memory-memory.txt
    grep -q '^nano.--method full, one step' out/gpu-a-GPU-memory.tsv
}
