# godwit: GNU make, after ./configure.
#
#   make                  build/godwit, build/godwitctl
#   make check            layers, unit tests, simulator, models, stress, mesh;
#                         closes with "N passed, N failed"
#   make check T=NAME     only what is called NAME: a unit test, a simulator
#                         program or a test of the mesh
#   make check-unit       one suite; also check-layers check-sim check-model
#                         check-stress check-mesh
#   make soak             what takes longer; soak-model: the models, larger;
#                         soak-stress: minutes of kill -9, SEED=1; soak-mesh:
#                         storms of a thousand reloads and a hundred deaths,
#                         a million calls of h2load,
#                         with figures (T=NAME: other tests)
#   make asan             the same in build/asan under the address and undefined
#                         behaviour sanitizers: unit and sim, with T=NAME mesh
#                         too; SUITES="unit sim mesh" says which
#   make tsan             the store of godwit-ems, which has a thread, under the
#                         thread sanitizer: its unit tests and kill -9
#   make demo             two regions on this machine and a call through them
#   make fuzz             libFuzzer (clang) on each t/fuzz/*.c, FUZZ_S=60
#                         seconds each; corpora stay in build/fuzz/fuzz
#   make interop          the cases of gRPC's interoperability tests: grpc-go,
#                         grpc-java, grpcio and grpc-js with each other through
#                         godwit (t/interop/README.md); T='go to-java tls'
#   make conformance      the public conformance suite of xDS servers against
#                         godwit-ems' side, all variants: six minutes, mostly
#                         waiting (t/conformance/README.md); T='sotw aggregated'
#   make bench            CPU per call against nghttpx and Envoy, and what
#                         routes and endpoints cost, what small calls wait
#                         beside bulk; T=calls, route, publish, scale, flow, xds, giant or ems
#                         for one of them
#   make layers           who may include whom, which library lives where
#   make fmt              clang-format in what git says is changed, or in
#                         FILES=...; function bodies only
#   make install          honours DESTDIR; also uninstall
#   make clean            removes what was built, keeps ./configure's answers
#                         and the Python packages; rm -r build removes all
#
#   make V=1              shows the commands
#   make B=build/asan     works in another folder that ./configure
#                         --builddir=... has prepared
#
# t/demo and t/check do all of it from nothing: packages, ./configure, make.
#
# A source needs no line here: every .c of a room is compiled and goes into
# build/libgodwit.a, which the program and every test link; only main.c stays
# outside. Every .proto under xds/proto becomes C in build/xds/proto. A .c
# under t/ with a main() is a program; one without is shared by its folder.

B	?= build
VENV	= build/venv
SUITES	= layers unit sim model stress mesh

MAKEFLAGS += --no-builtin-rules
SHELL	= /bin/sh
.SUFFIXES:
.DELETE_ON_ERROR:
# bench and asan run make again or measure: nothing beside them.
.PHONY:	all check check-layers check-unit check-sim check-model check-stress \
	check-mesh run-suites soak soak-model soak-stress soak-mesh demo bench \
	asan tsan fuzz run-fuzz interop conformance layers fmt install \
	uninstall clean help tests venv
.DEFAULT_GOAL := all

# ---- what ./configure found

NEED_NOTHING = clean help layers check-layers fmt
ifneq ($(filter-out $(NEED_NOTHING),$(or $(MAKECMDGOALS),all)),)
include $B/config.mk
include $B/config.stamp
endif

$B/config.mk: ;
$B/config.stamp: configure
	@if [ -f $B/config.again ]; then sh $B/config.again >/dev/null; \
	else echo "Run ./configure first (or t/check, which does all)." >&2; \
	exit 1; fi

# ---- what there is

ROOMS	= conf shm xds xds/ems worker/io worker master master/ctl
SRC	:= $(sort $(wildcard $(ROOMS:%=%/*.c)))
MAIN	= master/main.c master/ctl/main.c xds/ems/main.c
STRESS_STORE := $(sort $(wildcard t/stress/store*.c))
STRESS	:= $(filter-out $(STRESS_STORE),$(sort $(wildcard t/stress/*.c)))
PROTO	:= $(sort $(patsubst xds/proto/%,%,$(shell \
	find xds/proto -name '*.proto' 2>/dev/null)))
UNIT	:= $(sort $(wildcard t/unit/*.c))
PROG	:= $(sort $(shell grep -l '^main\>' t/sim/*.c t/bench/*.c 2>/dev/null))
HELP	:= $(sort $(filter-out $(PROG),$(wildcard t/sim/*.c t/bench/*.c \
	t/lib/*.c)))
ALL_C	:= $(sort $(wildcard $(ROOMS:%=%/*.[ch]) $(ROOMS:%=%/*.def) \
	t/*/*.[ch]))
EXAMPLES := $(sort $(shell find conf/examples conf/kubernetes conf/systemd \
	-type f 2>/dev/null))

OBJ	= $(patsubst %.c,$B/obj/%.o,$(filter-out $(MAIN),$(SRC)))
PB_H	= $(PROTO:%.proto=$B/xds/proto/%.pb-c.h)
PB_OBJ	= $(PROTO:%.proto=$B/obj/xds/proto/%.pb-c.o) \
	$B/obj/xds/proto/reflected.o
# What godwit-ems says of itself over gRPC reflection.
REFLECTED = $(addprefix xds/proto/,godwit/ems/registry.proto \
	grpc/health/v1/health.proto grpc/reflection/v1/reflection.proto)
HELP_OBJ = $(HELP:%.c=$B/obj/%.o)
TEST_BIN = $(if $(CRITERION_LIBS),$(UNIT:%.c=$B/%)) $(PROG:%.c=$B/%) \
	$(STRESS_BIN)
# What the conformance suite speaks to, besides xDS.
ADAPTER	= $B/t/conformance/adapter
STRESS_BIN = $(if $(STRESS),$B/t/stress/publish) \
	$(if $(STRESS_STORE),$B/t/stress/store)
SIM_BIN	= $(filter $B/t/sim/%,$(TEST_BIN))
GODWIT	= $B/godwit $B/godwitctl $B/godwit-ems

# ---- flags

STD	= -std=c11 -D_GNU_SOURCE
WARN	= -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual \
	-Wstrict-prototypes -Wmissing-prototypes -Wmissing-declarations \
	-Wformat -Werror=format-security -Wsign-compare
# Criterion's Test() makes functions without a prototype; a row of a table of
# cases says only what differs from zero.
WARN_T	= $(WARN) -Wno-missing-prototypes -Wno-missing-declarations \
	-Wno-missing-field-initializers
INC	= -I$B -I. -ffile-prefix-map=$(CURDIR)/=
ALL_CFLAGS = $(STD) $(INC) $(CPPFLAGS) $(LIB_CFLAGS) $(HARDENING) $(SANITIZE)
ALL_LDFLAGS = $(CFLAGS) $(SANITIZE) $(HARDENING_LD) -Wl,--as-needed $(LDFLAGS)

say	= $(if $V,,@printf '  %-4s %s\n' $1 '$(@:$B/%=%)';)

# ---- the programs

all: $(GODWIT) $B/libgodwit.a

$B/godwit: $B/obj/master/main.o $B/libgodwit.a
$B/godwitctl: $B/obj/master/ctl/main.o $B/libgodwit.a
$B/godwit-ems: $B/obj/xds/ems/main.o $B/libgodwit.a
$(GODWIT):
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# Made anew when an object goes or comes, so that it keeps no dead member;
# q, not r, since two rooms may have files of one name.
$B/libgodwit.a: $(OBJ) $(PB_OBJ) $B/libgodwit.list
	$(call say,AR)rm -f $@ && $(AR) qcs $@ $(OBJ) $(PB_OBJ)

$B/libt.a: $(HELP_OBJ) $B/libt.list
	$(call say,AR)rm -f $@ && $(AR) qcs $@ $(HELP_OBJ)

$B/libgodwit.list: FORCE
	@mkdir -p $B; echo '$(OBJ) $(PB_OBJ)' | cmp -s - $@ || \
	    echo '$(OBJ) $(PB_OBJ)' >$@
$B/libt.list: FORCE
	@mkdir -p $B; echo '$(HELP_OBJ)' | cmp -s - $@ || \
	    echo '$(HELP_OBJ)' >$@
FORCE:

$B/obj/%.o: %.c $B/config.mk | $(PB_H)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ALL_CFLAGS) $(WARN) $(WERROR) $(CFLAGS) \
	    -MMD -MP -c -o $@ $<

# Generated C is not ours to polish: no warnings.
$(PB_OBJ): $B/obj/%.o: $B/%.c $B/config.mk | $(PB_H)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ALL_CFLAGS) -w $(CFLAGS) -MMD -MP -c -o $@ $<

$B/xds/proto/%.pb-c.c $B/xds/proto/%.pb-c.h: xds/proto/%.proto $B/config.mk
	@mkdir -p $(@D)
	$(call say,GEN)$(PROTOC_C) -I. --c_out=$B $<

# A FileDescriptorSet as bytes of C.
$B/xds/proto/reflected.set: $(REFLECTED) $B/config.mk
	@mkdir -p $(@D)
	$(call say,GEN)$(PROTOC_C) -I. --include_imports \
	    --include_source_info --descriptor_set_out=$@ $(REFLECTED)

$B/xds/proto/reflected.c: $B/xds/proto/reflected.set
	$(call say,GEN){ echo 'const unsigned char reflected[] = {'; \
	    od -An -v -tu1 $< | sed 's/[0-9][0-9]*/&,/g'; \
	    echo '};'; echo 'const unsigned long reflected_len =' \
	    'sizeof(reflected);'; } >$@

# ---- tests

tests: $(TEST_BIN) $(ADAPTER)

$(UNIT:%.c=$B/obj/%.o): $B/obj/%.o: %.c $B/config.mk | $(PB_H)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ALL_CFLAGS) $(CRITERION_CFLAGS) $(WARN_T) \
	    $(WERROR) $(CFLAGS) -MMD -MP -c -o $@ $<

$(UNIT:%.c=$B/%): $B/%: $B/obj/%.o $B/libt.a $B/libgodwit.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CRITERION_LIBS) $(LIBS)

$(PROG:%.c=$B/%): $B/%: $B/obj/%.o $B/libt.a $B/libgodwit.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# All of its files: they put their own in front of these functions.
STRESS_WRAP = publish_put publish_observe image_close
$B/t/stress/publish: $(STRESS:%.c=$B/obj/%.o) $B/libgodwit.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(ALL_LDFLAGS) $(STRESS_WRAP:%=-Wl,--wrap=%) \
	    -o $@ $^ $(LIBS)

# Its mutants stand in front of SQLite's COMMIT.
$B/t/stress/store: $(STRESS_STORE:%.c=$B/obj/%.o) $B/libgodwit.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=sqlite3_step -o $@ $^ \
	    $(LIBS)

# It stands in front of who gets which view, and of a response's version.
$(ADAPTER): $(patsubst %.c,$B/obj/%.o,$(sort $(wildcard t/conformance/*.c))) \
    $B/libgodwit.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=ems_view \
	    -Wl,--wrap=push_take -o $@ $^ $(LIBS)

# The mesh's tests are Python; this is their private set of packages.
venv: $(VENV)/done
$(VENV)/done: $(wildcard t/lib/requirements.txt)
	t/lib/need venv
# What t/mesh/460-h2spec.py asks.
H2SPEC	= build/h2spec/done
$(H2SPEC): $(wildcard t/lib/h2spec/*) | $(VENV)/done
	t/lib/need h2spec
# What t/lib/plane.py starts.
PLANE	= build/plane/done
$(PLANE): $(wildcard t/lib/plane/*) | $(VENV)/done
	t/lib/need plane

check: run-suites
check-unit check-sim check-model check-stress check-mesh:
	@$(MAKE) --no-print-directory run-suites SUITES=$(@:check-%=%)
check-layers: layers

# One suite's list of things to run, as t/lib/suite wants them.
run_layers = layers
run_unit = $(UNIT:t/unit/%.c=unit:$B/t/unit/%)
run_sim	= $(SIM_BIN:%=sim:%)
run_model = $(if $(wildcard t/model/run),model)
run_stress = $(STRESS_BIN:%=stress:%)
run_mesh = $(if $(wildcard t/mesh/run),mesh)
run	= $(foreach s,$(SUITES),$(run_$s))

run-suites: $(GODWIT) $(if $(filter unit,$(SUITES)),$(if \
    $(CRITERION_LIBS),$(UNIT:%.c=$B/%))) $(if \
    $(filter sim,$(SUITES)),$(SIM_BIN)) $(if \
    $(filter stress,$(SUITES)),$(STRESS_BIN)) $(if \
    $(filter mesh,$(SUITES)),$(if $(run_mesh),$(VENV)/done $(H2SPEC) $(PLANE) \
    $(filter $B/t/bench/publish $B/t/bench/flowback,$(TEST_BIN))))
	@CC='$(CC)' t/lib/suite '$B' '$(VENV)/bin/python' '$T' \
	    '$(if $(CRITERION_LIBS),,no criterion)' $(run)

asan: B_ASAN = build/asan
asan: SUITES = unit sim $(if $T,mesh)
asan:
	@[ -f $(B_ASAN)/config.mk ] || CC='$(CC)' ./configure --enable-asan \
	    --builddir=$(B_ASAN) $(if $(WERROR),--enable-werror) >/dev/null
	@$(MAKE) --no-print-directory B=$(B_ASAN) T='$T' SUITES='$(SUITES)' \
	    run-suites

# All of it by clang, since what is fuzzed must be instrumented too. No place and
# nothing, NULL + 0, is no error (C2y, N3322); clang 14 can't part it from others.
# That there is a sanitizer it says in other words than gcc.
FUZZ_S	= 60
B_FUZZ	= build/fuzz
FUZZ_CFLAGS = -O1 -g -fsanitize=fuzzer-no-link -D__SANITIZE_ADDRESS__ \
	-fno-sanitize=pointer-overflow
FUZZ	:= $(sort $(wildcard t/fuzz/*.c))
FUZZ_RUN = $(FUZZ:t/fuzz/%.c=$B/fuzz/%.run)
fuzz:
	@t/lib/need fuzz
	@[ -f $(B_FUZZ)/config.mk ] || CC=clang \
	    CFLAGS='$(FUZZ_CFLAGS)' ./configure \
	    --enable-asan --builddir=$(B_FUZZ) >/dev/null
	@$(MAKE) --no-print-directory B=$(B_FUZZ) run-fuzz
run-fuzz: $(FUZZ_RUN)
	@for f in $(patsubst %.run,%,$(or $(filter %/$T.run,$^),$^)); do \
	    mkdir -p $$f && $$f.run seed $$f && $$f.run \
	    $$([ ! -f $$f.dict ] || echo -dict=$$f.dict) -timeout=10 \
	    -max_total_time=$(FUZZ_S) -artifact_prefix=$$f- $$f || exit; \
	    done

$(FUZZ_RUN): $B/fuzz/%.run: t/fuzz/%.c $(wildcard t/fuzz/*.h) $B/libt.a $B/libgodwit.a
	@mkdir -p $(@D)
	$(call say,FUZZ)$(CC) $(ALL_CFLAGS) $(WARN_T) $(ALL_LDFLAGS) \
	    -fsanitize=fuzzer -o $@ $(filter %.c %.a,$^) $(LIBS)

# The one room with a thread, and what of other rooms it calls; Criterion's
# words are our own here (t/lib/tsan).
TSAN_C	= $(sort $(wildcard xds/ems/store*.c)) shm/clock.c shm/log.c \
	worker/io/loop.c worker/io/sys.c worker/io/timer.c
TSAN_UNIT = $(patsubst t/unit/%.c,$B/tsan/%,$(sort $(wildcard t/unit/store*.c)))
tsan: $(TSAN_UNIT) $B/tsan/stress
	@for p in $(TSAN_UNIT); do TSAN_OPTIONS=halt_on_error=1 $$p || exit; done
	@TSAN_OPTIONS=halt_on_error=1 $B/tsan/stress -m 0 -s $(SEED)

$(TSAN_UNIT): $B/tsan/%: t/unit/%.c t/lib/unit_store.h
$B/tsan/stress: $(STRESS_STORE)
$B/tsan/stress: TSAN_LD = -Wl,--wrap=sqlite3_step
$(TSAN_UNIT) $B/tsan/stress: $(TSAN_C) $(wildcard xds/ems/store*.h) \
    $(wildcard t/lib/tsan/criterion/*.h) $B/libgodwit.a
	@mkdir -p $(@D)
	$(call say,TSAN)$(CC) $(STD) -It/lib/tsan $(INC) $(LIB_CFLAGS) $(WARN_T) \
	    -Wno-format-zero-length -O1 -g -fsanitize=thread $(TSAN_LD) -o $@ \
	    $(filter %.c %.a,$^) $(LIBS)

soak: soak-model soak-stress soak-mesh
soak-model:
	@CC='$(CC)' t/model/run --soak $B $T
soak-mesh: $(GODWIT) $(VENV)/done
	@SOAK=1 GODWIT=$B/godwit $(VENV)/bin/python t/mesh/run $(or $T,storm h2load)

SEED	= 1
soak-stress: $(STRESS_BIN)
	@$B/t/stress/publish -s $(SEED) -n 3000000 -t 600
	@$B/t/stress/store -s $(SEED) -t 120

demo: all venv
	@GODWIT=$B/godwit $(VENV)/bin/python t/mesh/demo

# It needs four languages' tools; they stay in build/interop. grpc-js as a
# client of godwit-ems is a test of t/mesh that is only run here.
interop: all $(VENV)/done
	@t/lib/need interop
	@t/interop/build
	@GODWIT=$B/godwit build/interop/venv/bin/python t/interop/run.py $T
	@$(if $T,,INTEROP=1 GODWIT=$B/godwit $(VENV)/bin/python t/mesh/run grpc_js)

# Of the suite nothing is kept but what was made of it, in build/conformance.
conformance: $(ADAPTER)
	@t/lib/need conformance
	@$(VENV)/bin/python t/conformance/run $(ADAPTER) build/conformance $T

bench: all $(filter $B/t/bench/%,$(TEST_BIN)) venv
	@GODWIT=$B/godwit $(VENV)/bin/python t/bench/run.py $T $(BENCH)

layers:
	@awk -f t/lib/layers.awk $(ALL_C)

fmt:
	@t/lib/fmt $(FILES)

# ---- install

completiondir = $(datadir)/bash-completion/completions

install: all
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(sysconfdir)/godwit \
	    $(DESTDIR)$(docdir) $(DESTDIR)$(mandir)/man1 \
	    $(DESTDIR)$(mandir)/man8 $(DESTDIR)$(completiondir)
	install -m 755 $(GODWIT) $(DESTDIR)$(bindir)
	install -m 644 conf/man/godwitctl.1 $(DESTDIR)$(mandir)/man1
	install -m 644 conf/man/godwit-ems.8 $(DESTDIR)$(mandir)/man8
	install -m 644 conf/completion/godwitctl.bash \
	    $(DESTDIR)$(completiondir)/godwitctl
	install -m 644 README.md LICENSE $(DESTDIR)$(docdir)
	for f in $(EXAMPLES:conf/%=%); do \
	    install -D -m 644 conf/$$f $(DESTDIR)$(docdir)/$$f || exit; done

uninstall:
	rm -f $(GODWIT:$B/%=$(DESTDIR)$(bindir)/%) \
	    $(DESTDIR)$(mandir)/man1/godwitctl.1 \
	    $(DESTDIR)$(mandir)/man8/godwit-ems.8 \
	    $(DESTDIR)$(completiondir)/godwitctl
	rm -rf $(DESTDIR)$(docdir)

clean:
	rm -rf $B/obj $B/t $B/xds $B/check $B/asan $B/tsan $B/godwit $B/godwitctl $B/*.a $B/*.list

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

-include $(shell find $B/obj -name '*.d' 2>/dev/null)
