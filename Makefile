# davit: build, install, check, demo. `make help` lists the targets.
#
# Out of tree: everything made goes to $(O) (build/). One static library a folder of supervisor/, one program a file of
# supervisor/main/, one test program a file of tests/*/test-*.c: a new file needs no line here.

.DEFAULT_GOAL := all
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:

O ?= build
PREFIX ?= /usr
SYSCONFDIR ?= /etc
LIBEXECDIR ?= $(PREFIX)/lib/davit
MANDIR ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
SYSTEMDDIR ?= $(PREFIX)/lib/systemd
DESTDIR ?=
VERSION := 0.1

CC ?= gcc
AR ?= ar
PKG_CONFIG ?= pkg-config
SANITIZE ?=
COVERAGE ?=

# ---- flags -----------------------------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wundef \
	-Wpointer-arith -Wwrite-strings -Werror
OPTIMIZE := -O2 -g
# Hidden: libconfig has a strbuf_append() of its own, and a symbol that a program exports takes the place of a library's.
HARDEN := -fvisibility=hidden -fstack-protector-strong -fPIE -fcf-protection -fno-strict-aliasing
FORTIFY := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
SECTIONS := -ffunction-sections -fdata-sections
LDHARDEN := -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed -Wl,--gc-sections
# One of the two a program: after -static-pie a -pie would make it dynamic again.
DYNAMIC := -pie
STATIC := -static-pie

ifneq ($(SANITIZE),)
  OPTIMIZE := -O1 -g -fno-omit-frame-pointer
  FORTIFY :=
  INSTRUMENT := -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined
  STATIC := -pie
endif
ifneq ($(COVERAGE),)
  OPTIMIZE := -O0 -g
  FORTIFY :=
  INSTRUMENT := --coverage -fprofile-update=atomic -DDAVIT_COVERAGE='"$(abspath $(O))"'
endif

CPPFLAGS_ALL := -D_GNU_SOURCE -Isupervisor -I$(O)/gen -DDAVIT_VERSION='"$(VERSION)"' \
	-DDAVIT_LIBEXEC_DIR='"$(LIBEXECDIR)"' -DDAVIT_SYSCONF_DIR='"$(SYSCONFDIR)"' -DDAVIT_BIN_DIR='"$(PREFIX)/bin"' $(FORTIFY) $(CPPFLAGS)
CFLAGS_ALL := -std=gnu17 $(OPTIMIZE) $(WARNINGS) $(HARDEN) $(SECTIONS) $(INSTRUMENT) $(CFLAGS)
LDFLAGS_ALL := $(INSTRUMENT) $(LDFLAGS)

LIBS_SYSTEMD = $(shell $(PKG_CONFIG) --libs libsystemd)
LIBS_JANSSON = $(shell $(PKG_CONFIG) --libs jansson)
LIBS_CONFIG = $(shell $(PKG_CONFIG) --libs libconfig)
LIBS_INIH = $(shell $(PKG_CONFIG) --libs inih)
LIBS_CMOCKA = $(shell $(PKG_CONFIG) --libs cmocka)
LIBS_IMAGE = $(shell $(PKG_CONFIG) --libs libarchive libcurl nettle libseccomp)
LIBS_MANAGER = $(LIBS_INIH) $(LIBS_CONFIG) $(LIBS_JANSSON) $(LIBS_SYSTEMD)

# ---- what is built ---------------------------------------------------------------------------------------------------

FOLDERS := base cgroup unit image worker launch log manager control cli generator init boot shutdown
PROGRAMS := davit-init davit-initramfs davit-boot davit-shutdown davit-launch davit-logd davitd davit davit-image davit-generator
TOOLS := davit-keys

sources = $(wildcard supervisor/$(1)/*.c)
objects = $(patsubst %.c,$(O)/%.o,$(1))
lib = $(foreach f,$(1),$(O)/lib/$(f).a)

PROGRAM_FILES := $(addprefix $(O)/,$(PROGRAMS))
PAGES := $(patsubst docs/%.scd,$(O)/man/%,$(wildcard docs/*.[1-8].scd))

.PHONY: all help programs man
all: programs man ## build everything
programs: $(PROGRAM_FILES) $(O)/davit-keys
man: $(PAGES)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 28

$(O)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(O)/supervisor/control/%.o: CPPFLAGS_ALL += -DDAVIT_VARLINK_GENERATED=1
$(call objects,$(call sources,control)): $(O)/gen/varlink.h

$(O)/gen/varlink.h: $(wildcard supervisor/control/*.varlink) supervisor/control/embed.sh
	@mkdir -p $(@D)
	sh supervisor/control/embed.sh $(filter %.varlink,$^) > $@

define library
$(O)/lib/$(1).a: $(call objects,$(call sources,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$(AR) rcsD $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call library,$(f))))

# Static programs use no library but libc: they are the ones that must come up whatever else is broken, and the ones
# whose memory counts for each copy.
#
# davit-init stays in memory for ever: variables of a few bytes go side by side, apart from tables of which only the first
# page is ever used.
COMPACT := -Wl,--sort-section=alignment
$(O)/davit-init: $(O)/supervisor/main/davit-init.o $(call lib,init base)
	$(CC) $(CFLAGS_ALL) $(STATIC) $(LDHARDEN) $(COMPACT) $(LDFLAGS_ALL) -o $@ $^
$(O)/davit-boot: $(O)/supervisor/main/davit-boot.o $(call lib,boot init base)
	$(CC) $(CFLAGS_ALL) $(STATIC) $(LDHARDEN) $(LDFLAGS_ALL) -o $@ $^
$(O)/davit-initramfs: $(O)/supervisor/main/davit-initramfs.o $(call lib,boot init base)
	$(CC) $(CFLAGS_ALL) $(STATIC) $(LDHARDEN) $(LDFLAGS_ALL) -o $@ $^
$(O)/davit-shutdown: $(O)/supervisor/main/davit-shutdown.o $(call lib,shutdown base)
	$(CC) $(CFLAGS_ALL) $(STATIC) $(LDHARDEN) $(LDFLAGS_ALL) -o $@ $^
$(O)/davit-launch: $(O)/supervisor/main/davit-launch.o $(call lib,launch base)
	$(CC) $(CFLAGS_ALL) $(STATIC) $(LDHARDEN) $(LDFLAGS_ALL) -o $@ $^
$(O)/davit-logd: $(O)/supervisor/main/davit-logd.o $(call lib,log base)
	$(CC) $(CFLAGS_ALL) $(STATIC) $(LDHARDEN) $(LDFLAGS_ALL) -o $@ $^
$(O)/davitd: $(O)/supervisor/main/davitd.o $(call lib,control manager log launch image unit cgroup base)
	$(CC) $(CFLAGS_ALL) $(DYNAMIC) $(LDHARDEN) $(LDFLAGS_ALL) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_MANAGER)
$(O)/davit: $(O)/supervisor/main/davit.o $(call lib,cli control manager log launch image unit cgroup base)
	$(CC) $(CFLAGS_ALL) $(DYNAMIC) $(LDHARDEN) $(LDFLAGS_ALL) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS_MANAGER)
# Only this one is linked with what reads foreign data; that the others are not is what proves that they never do.
$(O)/davit-image: $(O)/supervisor/main/davit-image.o $(call lib,worker image base)
	$(CC) $(CFLAGS_ALL) $(DYNAMIC) $(LDHARDEN) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_IMAGE) $(LIBS_JANSSON) $(LIBS_CONFIG)
$(O)/davit-keys: $(O)/supervisor/main/davit-keys.o $(call lib,unit base)
	$(CC) $(CFLAGS_ALL) $(DYNAMIC) $(LDHARDEN) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_INIH)

$(O)/davit-generator: $(O)/supervisor/main/davit-generator.o $(call lib,generator unit base)
	$(CC) $(CFLAGS_ALL) $(DYNAMIC) $(LDHARDEN) $(LDFLAGS_ALL) -o $@ $^ $(LIBS_INIH)

# ---- manual pages ----------------------------------------------------------------------------------------------------

# The tables of keys in davit-units(5) come from the key table itself: a line "@KEYS@" is replaced.
$(O)/man/%: docs/%.scd $(O)/davit-keys
	@mkdir -p $(@D)
	if grep -q '^@KEYS@$$' $<; then $(O)/davit-keys > $(O)/man/keys.scd && sed -e '/^@KEYS@$$/{r $(O)/man/keys.scd' -e 'd}' $<; \
	else cat $<; fi | scdoc > $@

# ---- tests -----------------------------------------------------------------------------------------------------------

# A test names the fakes it is linked with, instead of the folders they replace, in its first lines:
#   /* link: fake-api.c; without: manager */
# and likewise functions of libc that it has wrapped (ld(1), --wrap), to make them fail:
#   /* wrap: calloc */
TEST_SOURCES := $(wildcard tests/unit/test-*.c tests/integration/test-*.c tests/security/test-*.c)
TEST_PROGRAMS := $(patsubst %.c,$(O)/%,$(TEST_SOURCES))
UNIT_PROGRAMS := $(filter $(O)/tests/unit/%,$(TEST_PROGRAMS))
INTEGRATION_PROGRAMS := $(filter-out $(O)/tests/unit/%,$(TEST_PROGRAMS))
test_link = $(shell sed -n '1,8s|.*/\* link: *\([^;*]*\).*|\1|p' $(1))
test_without = $(shell sed -n '1,8s|.*without: *\([^;*]*\).*|\1|p' $(1))
test_wrap = $(addprefix -Wl$(comma)--wrap=,$(shell sed -n '1,8s|.*/\* wrap: *\([^;*]*\).*|\1|p' $(1)))
comma := ,
TEST_FOLDERS := control cli manager log launch worker image unit cgroup shutdown boot init base

define test_program
$(O)/$(basename $(1)): $(O)/$(basename $(1)).o \
		$(patsubst %.c,$(O)/$(dir $(1))%.o,$(call test_link,$(1))) \
		$(call lib,$(filter-out $(call test_without,$(1)),$(TEST_FOLDERS)))
	$$(CC) $$(CFLAGS_ALL) $$(DYNAMIC) $$(LDHARDEN) $$(LDFLAGS_ALL) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) \
		-Wl,--end-group $$(call test_wrap,$(1)) $$(LIBS_MANAGER) $$(LIBS_IMAGE) $$(LIBS_CMOCKA)
endef
$(foreach t,$(TEST_SOURCES),$(eval $(call test_program,$(t))))

.PHONY: test-programs unit-programs
test-programs: $(TEST_PROGRAMS) $(O)/tests/demo/payload $(O)/tests/soak/die-at
unit-programs: $(UNIT_PROGRAMS)

.PHONY: check check-unit check-integration check-sanitize
check: ## install what is needed, build, lint, and run all tests; the last line counts them
	@DAVIT_SOURCE=$(CURDIR) tests/check

.PHONY: check-vm
check-vm: programs test-programs ## every test in a booted machine, and the integration tests inside one, on both kernels
	tests/run --build $(O) --vm

.PHONY: soak
SOAK := --kills 10000 --logd 1000 --launch 1000 --replace 200 --containers 50
soak: programs $(O)/tests/demo/payload $(O)/tests/soak/die-at ## 10,000 kills of davitd, 1,000 of davit-logd; a kill at each system call (some 80 minutes)
	tests/soak/soak --build $(O) $(SOAK)
	for part in davitd davit-logd davit-launch exec run detach; do tests/soak/die-at --build $(O) $$part || exit; done
	tests/soak/die-at --build $(O) init --last 600
	tests/soak/die-at --build $(O) errors --last 80

# ---- quality ---------------------------------------------------------------------------------------------------------

C_FILES = $(shell git ls-files '*.c' '*.h' 2>/dev/null || find supervisor tests -name '*.[ch]')
SHELL_FILES = .ci/run tests/check tests/run tests/patiently tests/vm/run tests/vm/fetch tests/vm/base tests/coverage $(wildcard packaging/appliance/* tests/fuzz/run tests/vm/*.bash tests/vm/*.bats tests/vm/guest/* supervisor/control/embed.sh packaging/completions/davit tests/demo/demo \
	tests/bench/run tests/soak/soak tests/soak/die-at tests/lib.bash tests/integration/*.bash tests/integration/*.bats)

.PHONY: format lint lint-deep lint-format lint-tidy lint-cppcheck lint-shell
format: ## bring all C files into the house format
	clang-format -i $(C_FILES)
lint: lint-format lint-cppcheck lint-shell lint-tidy ## format, clang-tidy, cppcheck, shellcheck
lint-format:
	clang-format --dry-run -Werror $(C_FILES)
lint-shell:
	shellcheck -x $(wildcard $(SHELL_FILES))
lint-cppcheck:
	cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr --enable=warning,portability,performance \
		--suppressions-list=tests/cppcheck.suppressions -D_GNU_SOURCE -Isupervisor -j2 supervisor
lint-tidy: $(O)/gen/varlink.h
	@printf '%s\n' $(CPPFLAGS_ALL) -I$(CURDIR)/supervisor -I$(abspath $(O))/gen -std=gnu17 > $(O)/compile_flags.txt
	ls -S $(TIDY_FILES) | xargs -P2 -n1 clang-tidy --quiet --warnings-as-errors='*' -p $(O) $(TIDY_ARGS) 2>$(O)/tidy.log || \
		{ grep -v 'warnings generated' $(O)/tidy.log; exit 1; }
TIDY_FILES ?= $(wildcard supervisor/*/*.c)
# .clang-tidy holds the analyzer to 30,000 states a function, which is nearly all that it finds in a quarter of the time.
lint-deep: TIDY_ARGS := $(addprefix --extra-arg=,-Xclang -analyzer-config -Xclang max-nodes=225000)
lint-deep: lint-tidy ## clang-tidy with the whole of its analyzer's patience


# ---- fuzzing ---------------------------------------------------------------------------------------------------------

FUZZ_SECONDS ?= 30
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz-%.c,%,$(wildcard tests/fuzz/fuzz-*.c))
FUZZ_SOURCES = $(foreach f,base cgroup unit image worker launch log control,$(wildcard supervisor/$(f)/*.c))
FUZZ_FLAGS = -g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined $(CPPFLAGS_ALL) -std=gnu17 \
	-U_FORTIFY_SOURCE -DDAVIT_FUZZING=1

$(O)/fuzz/obj/%.o: %.c Makefile $(O)/gen/varlink.h
	@mkdir -p $(@D)
	clang $(FUZZ_FLAGS) -MMD -MP -c $< -o $@
# An archive, so that a target takes only what it needs.
$(O)/fuzz/all.a: $(patsubst %.c,$(O)/fuzz/obj/%.o,$(FUZZ_SOURCES))
	@rm -f $@
	$(AR) rcsD $@ $^

define fuzz_program
$(O)/fuzz/$(1): $(O)/fuzz/obj/tests/fuzz/fuzz-$(1).o \
		$$(patsubst %.c,$(O)/fuzz/obj/tests/unit/%.o,$$(notdir $$(call test_link,tests/fuzz/fuzz-$(1).c))) $(O)/fuzz/all.a
	clang -g -fsanitize=fuzzer,address,undefined -o $$@ $$^ $$(LIBS_MANAGER) $$(LIBS_IMAGE)
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_program,$(t))))

# One rule a target, so that -j runs several at once.
.PHONY: fuzz $(FUZZ_TARGETS:%=fuzz-run-%)
fuzz: $(FUZZ_TARGETS:%=fuzz-run-%) ## run each fuzz target for FUZZ_SECONDS: at random, or from FUZZ_SEED
$(FUZZ_TARGETS:%=fuzz-run-%): fuzz-run-%: $(O)/fuzz/%
	@tests/fuzz/run $< tests/fuzz/corpus/$* $(FUZZ_SECONDS) $(FUZZ_SEED)

# ---- coverage --------------------------------------------------------------------------------------------------------

.PHONY: coverage
coverage: ## lines of supervisor/ that the tests reach, here and in booted machines: in all and for each folder
	$(MAKE) O=$(O)/coverage COVERAGE=1 programs test-programs
	tests/coverage $(O)/coverage

# ---- demo, bench -----------------------------------------------------------------------------------------------------

.PHONY: demo bench deps
demo: deps programs $(O)/tests/demo/payload ## a small fleet on this machine, which is left as it was found
	tests/demo/demo $(O)
bench: programs $(O)/tests/bench/floor $(O)/tests/demo/payload ## davit beside the kernel's floor and its peers
	tests/bench/run $(O)
$(O)/tests/bench/floor $(O)/tests/demo/payload $(O)/tests/soak/die-at: %: %.o
	$(CC) $(CFLAGS_ALL) -static $(LDFLAGS_ALL) -o $@ $^

PACKAGES := gcc make git pkg-config libsystemd-dev libinih-dev libconfig-dev libjansson-dev libarchive-dev libcurl4-openssl-dev nettle-dev libseccomp-dev libcmocka-dev scdoc bats \
	busybox-static skopeo openssl shellcheck clang clang-format clang-tidy cppcheck libclang-rt-14-dev gcovr jq socat procps util-linux python3 \
	umoci buildah mmdebstrap debootstrap squashfs-tools erofs-utils btrfs-progs xfsprogs attr libcap2-bin zstd xz-utils bzip2 systemd-container strace
deps: ## install the Debian packages that building and testing need
	@missing=; for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q '^install ok' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing:$$missing"; \
		tests/patiently sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$$@"' sh $$missing >/dev/null || exit 1; fi

# ---- appliance -------------------------------------------------------------------------------------------------------

APPLIANCE_OUT = $(or $(OUT),$(O)/appliance)
.PHONY: appliance appliance-run
appliance: programs ## a bootable machine: UNITS=dir [ROOTFS="[name=]dir-or-tar..."] [OUT=dir]; prints size and boot time
	packaging/appliance/build --build $(O) --out $(APPLIANCE_OUT) --units '$(UNITS)' $(foreach r,$(ROOTFS),--rootfs '$(r)')
	packaging/appliance/run --time $(APPLIANCE_OUT)
appliance-run: ## boots it under QEMU, with its console here (Ctrl-A x ends it)
	packaging/appliance/run $(APPLIANCE_OUT)

# ---- install ---------------------------------------------------------------------------------------------------------

.PHONY: install install-programs install-pages uninstall
INSTALLED := $(LIBEXECDIR)/davitd $(LIBEXECDIR)/davit-initramfs $(LIBEXECDIR)/davit-boot $(LIBEXECDIR)/davit-shutdown $(LIBEXECDIR)/davit-launch $(LIBEXECDIR)/davit-logd $(LIBEXECDIR)/davit-image $(PREFIX)/sbin/davit-init $(PREFIX)/bin/davit \
	$(COMPLETIONDIR)/davit $(SYSTEMDDIR)/system/davit.service $(SYSTEMDDIR)/system/davit-container@.service $(SYSTEMDDIR)/system-generators/davit-generator \
	$(PREFIX)/lib/sysusers.d/davit.conf $(PREFIX)/lib/tmpfiles.d/davit.conf
install: all ## install below DESTDIR and PREFIX
	@$(MAKE) --no-print-directory install-programs install-pages
# Without building anything: for trees that tests and the appliance make of what has been built.
install-programs:
	install -Dm755 -t $(DESTDIR)$(LIBEXECDIR) $(O)/davitd $(O)/davit-boot $(O)/davit-initramfs $(O)/davit-launch $(O)/davit-logd $(O)/davit-image $(O)/davit-shutdown
	install -Dm755 -t $(DESTDIR)$(PREFIX)/sbin $(O)/davit-init
	install -Dm755 -t $(DESTDIR)$(PREFIX)/bin $(O)/davit
	install -Dm644 packaging/completions/davit $(DESTDIR)$(COMPLETIONDIR)/davit
	install -Dm644 -t $(DESTDIR)$(SYSTEMDDIR)/system packaging/systemd/davit.service packaging/systemd/davit-container@.service
	install -Dm755 -t $(DESTDIR)$(SYSTEMDDIR)/system-generators $(O)/davit-generator
	install -Dm644 packaging/systemd/davit.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/davit.conf
	install -Dm644 packaging/systemd/davit.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/davit.conf
	install -Dm644 -t $(DESTDIR)$(LIBEXECDIR)/units $(wildcard units/*.target)
	for u in $(wildcard units/*.service); do sed 's|/usr/lib/davit/|$(LIBEXECDIR)/|' $$u | install -Dm644 /dev/stdin $(DESTDIR)$(LIBEXECDIR)/$$u; done
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/doc/davit/examples $(wildcard units/examples/*) packaging/systemd/keep-containers.conf
	test -e $(DESTDIR)$(SYSCONFDIR)/davit/davit.conf || install -Dm644 etc/davit.conf $(DESTDIR)$(SYSCONFDIR)/davit/davit.conf
	install -dm755 $(DESTDIR)$(SYSCONFDIR)/davit/units $(DESTDIR)$(SYSCONFDIR)/davit/systemd
install-pages:
	for p in $(notdir $(PAGES)); do install -Dm644 $(O)/man/$$p $(DESTDIR)$(MANDIR)/man$${p##*.}/$$p; done
# Not part of install: on a machine that has an init already these names are taken.
INIT_LINKS := shutdown halt poweroff reboot telinit
.PHONY: install-init
install-init: install ## davit as the init of the machine: init, shutdown, halt, poweroff, reboot, telinit in PREFIX/sbin
	ln -sfn davit-init $(DESTDIR)$(PREFIX)/sbin/init
	for name in $(INIT_LINKS); do ln -sfn ../bin/davit $(DESTDIR)$(PREFIX)/sbin/$$name; done
uninstall: ## remove what install put there; /etc and /var stay
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rm -rf $(DESTDIR)$(LIBEXECDIR)/units $(DESTDIR)$(PREFIX)/share/doc/davit
	for p in $(notdir $(PAGES)); do rm -f $(DESTDIR)$(MANDIR)/man$${p##*.}/$$p; done
	-rmdir $(DESTDIR)$(LIBEXECDIR)

.PHONY: clean
clean: ## remove what was built
	rm -rf $(O)

# $(O)/vm, and that of builds below it, have root file systems, in which *.d means something else.
-include $(shell find $(O) -name vm -prune -o -name '*.d' -print 2>/dev/null)
