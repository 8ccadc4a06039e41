# slt: small Unix programs that pretrain sparse plus low-rank LLaMA models. `make help` lists the targets.
#
# Objects live in $(BUILD). Sources are found by their place: lib/*/*.c and kernels/cpu/*.c make the library,
# tools/slt-*.c one program each (with tools/cli_*.c), tests/unit/test_*.c one unit test each.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BASH_COMPLETIONS ?= $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions
BUILD ?= build
CC ?= cc
CXX ?= c++
CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g
SANITIZE ?=

VERSION := $(shell sed -n 's/^\#define SLT_VERSION "\(.*\)"/\1/p' lib/include/slt/version.h)
SOVERSION := 0

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wno-unused-parameter
BASE := -fPIC -fvisibility=hidden -pthread -MMD -MP -D_FILE_OFFSET_BITS=64 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE \
	$(SANITIZE)
LIB_C := $(CC) -std=c11 $(CPPFLAGS) $(CFLAGS) $(BASE) $(WARN) -fopenmp -I. -Ilib -Ilib/include
TOOL_C := $(CC) -std=c11 $(CPPFLAGS) $(CFLAGS) $(BASE) $(WARN) -Ilib/include
LIB_CXX := $(CXX) -std=c++17 $(CPPFLAGS) $(CXXFLAGS) $(BASE) -Wall -Wextra -Wno-unused-parameter -I. -Ilib -Ilib/include
LINK := $(CXX) $(SANITIZE) $(LDFLAGS) -pthread -fopenmp
LIBS := -ldnnl -lsentencepiece_train -lsentencepiece -larchive -lzstd -lbz2 -llz4 -llzma -ljansson -lsimdjson -lpcre2-8 \
	-lutf8proc -lcrypto -llapacke -lblas -lz -lm
DEB_PACKAGES := gcc g++ make pkg-config libdnnl-dev libsentencepiece-dev libarchive-dev libzstd-dev libbz2-dev liblz4-dev \
	liblzma-dev zlib1g-dev libjansson-dev libsimdjson-dev libpcre2-dev libutf8proc-dev libssl-dev liblapacke-dev \
	libblas-dev libopenblas0-serial gnuplot-nox bats mandoc
# What tests compress and pack with, besides.
TEST_PACKAGES := binutils bzip2 cpio iproute2 libmpich-dev libopenmpi-dev lz4 mpich openmpi-bin patchelf procps xz-utils zip zstd

LIB_SRC := $(wildcard lib/*/*.c) $(filter-out kernels/cpu/simd_%.c,$(wildcard kernels/*.c kernels/cpu/*.c))
LIB_CC_SRC := $(wildcard lib/*/*.cc)
SIMD_SRC := $(wildcard kernels/cpu/simd_*.c)
REF_SRC := $(wildcard kernels/cpu/ref_*.c)
TOOLS := $(patsubst tools/%.c,%,$(wildcard tools/slt-*.c))
CLI_SRC := $(wildcard tools/cli_*.c)
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
BENCH := $(patsubst tests/bench/%.c,%,$(wildcard tests/bench/bench_*.c))
MAN := $(wildcard man/*.[1-9])

# The instruction sets of kernels/cpu/simd_*.c, chosen at run time: the same source compiled once for each.
ISA_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mavx2 -mprefer-vector-width=512
ISA_avx2 := -mavx2 -mfma
ISA_plain :=
ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)
ISAS := avx512 avx2 plain
else
ISAS := plain
endif

# The CUDA backend, where there is a compiler for it.
NVCC ?= $(shell command -v nvcc)
CUDA ?= $(if $(NVCC),1,0)
CUDA_SRC := $(wildcard kernels/cuda/*.cu)
CUDA_ARCH ?= -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90a,code=sm_90a \
	-gencode arch=compute_90,code=compute_90
CUDA_C := $(NVCC) -std=c++17 -O3 $(CUDA_ARCH) -Werror=all-warnings -MMD -MP -I. -Ilib -Ilib/include \
	-Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra,-Wno-unused-parameter,-fno-exceptions
CUDA_LIB := $(if $(filter 1,$(CUDA)),$(BUILD)/libslt-cuda.so)

# What joins several processes, for each implementation of MPI whose compiler is there.
MPICC ?= $(shell command -v mpicc)
MPI_KIND := $(if $(MPICC),$(shell echo | $(MPICC) -dM -E -include mpi.h - 2>/dev/null | \
	sed -n 's/^\#define OPEN_MPI 1$$/openmpi/p; s/^\#define MPICH_VERSION .*/mpich/p'))
MPICC_openmpi ?= $(or $(shell command -v mpicc.openmpi),$(if $(filter openmpi,$(MPI_KIND)),$(MPICC)))
MPICC_mpich ?= $(or $(shell command -v mpicc.mpich),$(if $(filter mpich,$(MPI_KIND)),$(MPICC)))
MPI_LIB := $(foreach mpi,openmpi mpich,$(if $(MPICC_$(mpi)),$(BUILD)/libslt-$(mpi).so))

LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o) $(LIB_CC_SRC:%.cc=$(BUILD)/%.o) \
	$(foreach isa,$(ISAS),$(SIMD_SRC:%.c=$(BUILD)/%.$(isa).o))
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/%.o)
REF64_OBJ := $(REF_SRC:%.c=$(BUILD)/%.f64.o)
TOOL_BIN := $(TOOLS:%=$(BUILD)/%)
UNIT_BIN := $(UNIT:%=$(BUILD)/tests/%)

# One word and the file for each step; V=1 shows the whole commands.
Q := $(if $(V),,@)
say = $(if $(V)$(findstring s,$(filter-out --%,$(firstword $(MAKEFLAGS)))),,@printf '%-5s %s\n' $(1) $(2))

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
# Not on the list of `make help`: the steps of others, once what they need is installed.
.PHONY: check-run check-asan-run

.PHONY: all deps check check-unit check-bats check-man check-asan check-gpu bench bench-gpu demo install deb portable uninstall clean help FORCE

## all: build the library and the tools (the default)
all: $(BUILD)/libslt.a $(BUILD)/libslt.so $(CUDA_LIB) $(MPI_LIB) $(TOOL_BIN) $(BUILD)/slt.pc \
	$(BUILD)/completions/slt.bash $(BUILD)/completions/_slt

# Changed compilers or flags rebuild everything.
STAMP := $(CC)|$(CXX)|$(CPPFLAGS)|$(CFLAGS)|$(CXXFLAGS)|$(SANITIZE)|$(LDFLAGS)|$(BASE)|$(WARN)|$(NVCC)|$(CUDA_ARCH)|\
	$(foreach isa,$(ISAS),$(isa) $(ISA_$(isa)))
$(BUILD)/flags.stamp: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(STAMP)' | cmp -s - $@ || printf '%s\n' '$(STAMP)' >$@

# One line says what is missing and what brings it.
$(BUILD)/deps.stamp: Makefile
	@mkdir -p $(@D)
	@missing=; for h in oneapi/dnnl/dnnl.h sentencepiece_processor.h archive.h zstd.h bzlib.h lz4frame.h lzma.h jansson.h simdjson.h pcre2.h utf8proc.h \
		openssl/evp.h lapacke.h cblas.h zlib.h; do printf '#include <%s>\n' $$h | \
		$(CXX) $(CPPFLAGS) -DPCRE2_CODE_UNIT_WIDTH=8 -x c++ -E - >/dev/null 2>&1 || missing="$$missing $$h"; done; \
	if [ -n "$$missing" ]; then echo "make: missing headers:$$missing; 'make deps' installs them" >&2; exit 1; fi
	@touch $@

$(BUILD)/%.o: %.c $(BUILD)/flags.stamp | $(BUILD)/deps.stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(LIB_C) -c -o $@ $<

$(BUILD)/%.o: %.cc $(BUILD)/flags.stamp | $(BUILD)/deps.stamp
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(LIB_CXX) -c -o $@ $<

$(BUILD)/tools/%.o: tools/%.c $(BUILD)/flags.stamp | $(BUILD)/deps.stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(TOOL_C) -c -o $@ $<

define ISA_RULE
$(BUILD)/kernels/cpu/%.$(1).o: kernels/cpu/%.c $(BUILD)/flags.stamp | $(BUILD)/deps.stamp
	@mkdir -p $$(@D)
	$$(call say,CC,'$$< ($(1))')
	$$(Q)$(LIB_C) -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math -Wno-psabi $(ISA_$(1)) -DSLT_ISA=$(1) -c -o $$@ $$<
endef
$(foreach isa,$(ISAS),$(eval $(call ISA_RULE,$(isa))))

# It links nothing of libslt; the maps of 8-bit codes are compiled in.
$(BUILD)/kernels/cuda/%.o: kernels/cuda/%.cu $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(call say,NVCC,$<)
	$(Q)$(CUDA_C) -Xptxas -v -c -o $@ $< 2>$(@:.o=.ptxas) || { cat $(@:.o=.ptxas) >&2; exit 1; }

$(BUILD)/libslt-cuda.so: $(CUDA_SRC:%.cu=$(BUILD)/%.o) $(BUILD)/lib/core/codes.o
	$(call say,LINK,$@)
	$(Q)$(NVCC) -shared -cudart static -o $@ $^ -lcublasLt

# It links nothing of libslt.
$(BUILD)/libslt-openmpi.so $(BUILD)/libslt-mpich.so: $(BUILD)/libslt-%.so: lib/ranks/mpi/mpi.c lib/ranks/plugin.h $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(call say,MPICC,'$< ($*)')
	$(Q)$(MPICC_$*) -std=c11 $(CPPFLAGS) $(CFLAGS) $(filter-out -MMD -MP,$(BASE)) $(WARN) -Ilib \
		-DSLT_MPI_NAME='"$*"' -shared -o $@ $<

# The same sources as host C++, see tests/cuda-emulation/cuda_runtime.h.
EMULATION_C := $(CXX) -std=c++17 -O2 -ftree-vectorize -g -fPIC -fvisibility=hidden -MMD -MP -Wall -Wextra -Wno-unused-parameter \
	-Wno-unknown-pragmas -Itests/cuda-emulation -I. -Ilib -Ilib/include
$(BUILD)/emulation/%.o: kernels/cuda/%.cu $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(call say,CXX,'$< (emulated)')
	$(Q)$(EMULATION_C) -x c++ -c -o $@ $<

# With what a kernel asks of memory counted, see tests/cuda-emulation/counters.cpp.
$(BUILD)/emulation/counted/%.o: kernels/cuda/%.cu $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(call say,CXX,'$< (emulated, counted)')
	$(Q)$(EMULATION_C) -fsanitize=thread --param tsan-instrument-func-entry-exit=0 -fno-tree-sra -fno-threadsafe-statics -x c++ -c -o $@ $<

$(BUILD)/emulation/%.o: tests/cuda-emulation/%.cpp $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(EMULATION_C) -c -o $@ $<

$(BUILD)/emulation/codes.o: lib/core/codes.c $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c11 -O2 -fPIC -fvisibility=hidden -Ilib -c -o $@ $<

EMULATION := $(BUILD)/emulation/libslt-cuda.so
COUNTED := $(BUILD)/emulation/counted/libslt-cuda.so
$(EMULATION): $(patsubst kernels/cuda/%.cu,$(BUILD)/emulation/%.o,$(CUDA_SRC))
$(COUNTED): $(patsubst kernels/cuda/%.cu,$(BUILD)/emulation/counted/%.o,$(CUDA_SRC))
$(EMULATION) $(COUNTED): \
		$(patsubst tests/cuda-emulation/%.cpp,$(BUILD)/emulation/%.o,$(wildcard tests/cuda-emulation/*.cpp)) \
		$(BUILD)/emulation/codes.o
	$(call say,LINK,$@)
	$(Q)$(CXX) -shared -Wl,-z,defs -o $@ $^

# What the emulation finds as NCCL.
NCCL := $(BUILD)/emulation/nccl/libnccl.so.2
$(NCCL): tests/cuda-emulation/nccl/nccl.cpp tests/cuda-emulation/nccl.h tests/cuda-emulation/cuda_runtime.h $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(EMULATION_C) -fvisibility=default -shared -o $@ $< -lrt

# The reference kernels in double precision, for the gradient checks only.
$(BUILD)/kernels/cpu/%.f64.o: kernels/cpu/%.c $(BUILD)/flags.stamp | $(BUILD)/deps.stamp
	@mkdir -p $(@D)
	$(call say,CC,'$< (in double)')
	$(Q)$(LIB_C) -DSLT_REFERENCE_F64 -c -o $@ $<

$(BUILD)/libslt.a: $(LIB_OBJ)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/libslt.so.$(VERSION): $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -Wl,-soname,libslt.so.$(SOVERSION) -Wl,-z,defs -o $@ $^ $(LIBS)

$(BUILD)/libslt.so: $(BUILD)/libslt.so.$(VERSION)
	$(Q)ln -sf $(<F) $(BUILD)/libslt.so.$(SOVERSION)
	$(Q)ln -sf libslt.so.$(SOVERSION) $@

$(TOOL_BIN): $(BUILD)/%: $(BUILD)/tools/%.o $(CLI_OBJ) $(BUILD)/libslt.so
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $(filter %.o,$^) -L$(BUILD) -lslt -ljansson -lm -Wl,-rpath,'$$ORIGIN:$$ORIGIN/../lib'

$(BUILD)/slt.pc: Makefile lib/include/slt/version.h
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$${prefix}/include' '' 'Name: slt' \
		'Description: sparse plus low-rank pretraining of LLaMA models' 'Version: $(VERSION)' \
		'Libs: -L$${libdir} -lslt' 'Cflags: -I$${includedir}' >$@

$(BUILD)/completions/slt.bash: $(TOOL_BIN) tools/make-completions
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)tools/make-completions bash $(TOOL_BIN) >$@

$(BUILD)/completions/_slt: $(TOOL_BIN) tools/make-completions
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)tools/make-completions zsh $(TOOL_BIN) >$@

# ---- Tests ----

$(BUILD)/tests/%.o: tests/unit/%.c $(BUILD)/flags.stamp | $(BUILD)/deps.stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(LIB_C) -Itests/unit -c -o $@ $<

$(UNIT_BIN): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(REF64_OBJ) $(BUILD)/libslt.a
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(BUILD)/bench/%.o: tests/bench/%.c $(BUILD)/flags.stamp | $(BUILD)/deps.stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(LIB_C) -Itests/unit -c -o $@ $<

$(BUILD)/bench/bench_speed: $(CLI_OBJ)
$(BENCH:%=$(BUILD)/bench/%): $(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/bench/bench.o $(BUILD)/libslt.a
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $(filter %.o,$^) $(BUILD)/libslt.a $(LIBS)

## check: install what is missing, build, run every test; the last line is 'N passed, N failed'
check: deps
	tests/install-deps $(TEST_PACKAGES)
	$(MAKE) check-run

check-run: all $(UNIT_BIN) $(EMULATION) $(NCCL) $(COUNTED) $(BUILD)/bench/bench_speed
	BUILD=$(BUILD) tests/run-all

## check-unit: the C unit tests only
check-unit: $(UNIT_BIN) $(EMULATION)
	BUILD=$(BUILD) tests/run-all unit

## check-bats: the tests of the tools only
check-bats: all $(UNIT_BIN) $(EMULATION) $(NCCL) $(COUNTED) $(BUILD)/bench/bench_speed
	BUILD=$(BUILD) tests/run-all bats

## check-man: lint the manual pages and compare them with the programs
check-man: all
	BUILD=$(BUILD) tests/run-all man

## check-asan: unit tests and one whole pipeline under AddressSanitizer and UndefinedBehaviorSanitizer
check-asan:
	$(MAKE) BUILD=$(BUILD)/asan SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all' CFLAGS='-O1 -g' \
		CXXFLAGS='-O1 -g' check-asan-run

check-asan-run: all $(UNIT_BIN) $(EMULATION)
	BUILD=$(BUILD) tests/run-all asan

## check-gpu: every operation against the CPU, determinism, training and resuming, on the GPU of this machine
check-gpu: all $(UNIT_BIN)
	BUILD=$(BUILD) tests/run-all gpu

## bench-gpu: tokens/s, MFU and memory of the models' sizes on the GPU of this machine, beside PyTorch, into pipelines/results
bench-gpu: all $(BUILD)/bench/bench_speed
	BUILD=$(BUILD) tests/bench/gpu

## bench: measure speed as ratios in one run (35 minutes; leave the machine alone meanwhile)
bench: all $(BENCH:%=$(BUILD)/bench/%)
	BUILD=$(BUILD) tests/bench/run-all

## demo: text to trained models and a table, on English manual pages (CORPUS='FILES' names others)
demo:
	@$(MAKE) $(if $(V),,-s) deps
	@$(MAKE) $(if $(V),,-s) all
	@$(MAKE) $(if $(V),,-s) -f pipelines/manual-pages.mk BIN=$(abspath $(BUILD)) OUT=$(BUILD)/demo $(if $(CORPUS),CORPUS='$(CORPUS)')

# ---- Installation ----

## deps: install the missing Debian or Ubuntu packages with apt-get
deps:
	tests/install-deps $(DEB_PACKAGES)

## install: install under $(DESTDIR)$(PREFIX)
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include/slt \
		$(addprefix $(DESTDIR)$(PREFIX)/share/man/man,1 5 7)
	install -m 755 $(TOOL_BIN) $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/libslt.so.$(VERSION) $(DESTDIR)$(LIBDIR)
	$(if $(CUDA_LIB),install -d $(DESTDIR)$(LIBDIR)/slt && install -m 755 $(CUDA_LIB) $(DESTDIR)$(LIBDIR)/slt)
	$(if $(MPI_LIB),install -d $(DESTDIR)$(LIBDIR)/slt && install -m 755 $(MPI_LIB) $(DESTDIR)$(LIBDIR)/slt)
	ln -sf libslt.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libslt.so.$(SOVERSION)
	ln -sf libslt.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libslt.so
	install -m 644 $(BUILD)/libslt.a $(DESTDIR)$(LIBDIR)
	install -m 644 $(wildcard lib/include/slt/*.h) $(DESTDIR)$(PREFIX)/include/slt
	install -m 644 $(BUILD)/slt.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	install -d $(DESTDIR)$(BASH_COMPLETIONS) $(DESTDIR)$(ZSH_COMPLETIONS)
	for tool in $(TOOLS); do install -m 644 $(BUILD)/completions/slt.bash $(DESTDIR)$(BASH_COMPLETIONS)/$$tool || exit 1; done
	install -m 644 $(BUILD)/completions/_slt $(DESTDIR)$(ZSH_COMPLETIONS)
	for page in $(MAN); do \
		install -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} || exit 1; done

## deb: Debian packages of it in $(BUILD)/deb
deb: all
	BUILD=$(BUILD) VERSION=$(VERSION) tools/make-deb $(BUILD)/deb

## portable: an archive in $(BUILD)/portable that runs wherever it is unpacked, and one with its checks for a GPU
portable: all $(UNIT_BIN) $(BUILD)/bench/bench_speed
	tests/install-deps patchelf xz-utils binutils cpio
	BUILD=$(BUILD) VERSION=$(VERSION) tools/make-portable $(BUILD)/portable

## uninstall: remove what install put there
uninstall:
	rm -f $(TOOLS:%=$(DESTDIR)$(PREFIX)/bin/%) $(DESTDIR)$(LIBDIR)/libslt.so* $(DESTDIR)$(LIBDIR)/libslt.a \
		$(DESTDIR)$(LIBDIR)/pkgconfig/slt.pc $(foreach p,$(MAN),$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(p)))/$(notdir $(p)))
	rm -f $(TOOLS:%=$(DESTDIR)$(BASH_COMPLETIONS)/%) $(DESTDIR)$(ZSH_COMPLETIONS)/_slt
	rm -rf $(DESTDIR)$(PREFIX)/include/slt $(DESTDIR)$(LIBDIR)/slt

## clean: remove $(BUILD)
clean:
	rm -rf $(BUILD)

## help: this list
help:
	@sed -n 's/^## //p' Makefile

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
