# What a person or a machine does with a checkout. `make` alone lists the targets.

CARGO ?= cargo
# Tests of the daemon mostly wait for windows to pass: more of them at once than there are cores.
TEST_THREADS ?= 8
# How long `make soak` bends the server, in seconds.
SOAK_SECONDS ?= 600
# How long `make fuzz` feeds each target, in seconds.
FUZZ_SECONDS ?= 60
# Where RustSec's database cannot be fetched, `make deny` looks into this clone of it.
ADVISORIES ?=

# What `build`, `install`, `deb` and `rpm` take the program from: `release`, or `dev` for a quick try.
PROFILE ?= release
PREFIX ?= /usr/local
DESTDIR ?=

# A program for other machines does not name this one's directories, neither where it is Rust nor where it is C.
CARGO_HOME_HERE := $(or $(CARGO_HOME),$(HOME)/.cargo)
REMAPPED := RUSTFLAGS="--remap-path-prefix=$(CURDIR)=keepfresh --remap-path-prefix=$(CARGO_HOME_HERE)=cargo" \
  CFLAGS="$(CFLAGS) -ffile-prefix-map=$(CURDIR)=keepfresh -ffile-prefix-map=$(CARGO_HOME_HERE)=cargo"
BUILT := target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/keepfresh
MUSL := $(shell uname -m)-unknown-linux-musl
DIST := target/dist

.PHONY: help demo test quick test-system test-fresh lint bench bench-docs picture soak fuzz mutants deny build static install deb rpm image clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: .needs-build ## A sandbox and a daemon together, live in this terminal, for some seconds
	@[ -x target/demo/keepfresh ] || \
	  echo 'First the program and 200 packages are compiled: some two to three minutes on two cores, once. Then the demo takes ten seconds.'
	$(CARGO) build --locked --profile demo
	target/demo/keepfresh demo

test: .needs-test lint ## Everything that must hold: format, lints, docs, all tests (with CI set, what cannot be tried here fails)
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	{ RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --locked --no-fail-fast 2>&1; echo "exit $$?" >>"$$log"; } | tee -a "$$log"; \
	awk '/^test result:/ { passed += $$4; failed += $$6; ignored += $$8 } /^UNTRIED / { untried = untried $$0 "\n" } \
	  /^exit / { code = $$2 } \
	  END { printf "\n%s%d tests passed, %d failed, %d ignored\n", untried, passed, failed, ignored; exit code }' "$$log"

test-system: .needs-system ## The packages on a machine of their own that boots systemd, in a container (as root; says what it installs)
	$(CARGO) build --locked
	rm -rf target/system/packages
	@for revision in 1 2; do for copy in first again; do \
	  DEB_REVISION=$$revision packaging/deb/build target/debug/keepfresh target/system/packages/$$copy && \
	  RPM_RELEASE=$$revision packaging/rpm/build target/debug/keepfresh target/system/packages/$$copy || exit 1; \
	done; done
	diff -r target/system/packages/first target/system/packages/again
	lintian --allow-root --fail-on error,warning target/system/packages/first/keepfresh_*-1_*.deb
	tests/system/run target/system/packages/first
	tests/system/container target/debug/keepfresh
	tests/system/fresh

test-fresh: .needs-system ## Of test-system only this: what the tests need, installed on an empty Debian as root and as an ordinary user, and tried there
	tests/system/fresh

quick: lint ## While you write: the lints, and the tests that need no daemon: under two minutes once it is built
	$(CARGO) test --locked --lib --test house --test docs

lint: ## Format, clippy and docs without a single warning
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

bench: .needs-bench ## The table of docs/benchmarks.md, with the release build: a quarter of an hour, left in target/bench.md (PARTS)
	$(CARGO) bench --locked --bench figures --no-run
	@# Measured is what is installed: the program that cargo builds for a bench has the features of the tests in it.
	$(CARGO) build --locked --release
	$$(ls -t target/release/deps/figures-* | grep -v '\.d$$' | head -n 1) $(PARTS)

bench-docs: ## Puts the table of the last `make bench` into docs/benchmarks.md
	@test -s target/bench.md
	awk '/^<!-- end of the table -->/ { inside = 0 } !inside; /^<!-- the table of make bench -->/ \
	  { inside = 1; while ((getline line < "target/bench.md") > 0) print line }' docs/benchmarks.md > target/benchmarks.md
	mv target/benchmarks.md docs/benchmarks.md

picture: .needs-build .needs-picture ## docs/watch.svg, the picture of the README, as `status --watch` draws it now
	$(CARGO) build --locked
	packaging/picture target/debug/keepfresh docs/watch.svg

soak: .needs-test ## Ten minutes of chaos (SOAK_SECONDS) against sessions that must come through, kills by the hundred, and 20,000 made-up lives of daemons
	KEEPFRESH_SOAK_SECONDS=$(SOAK_SECONDS) $(CARGO) test --locked --test acceptance -- --nocapture soak
	KEEPFRESH_KILLS=100 $(CARGO) test --locked --test acceptance -- kills
	KEEPFRESH_SEEDS=20000 $(CARGO) test --locked --lib whatever_befalls

fuzz: .needs-fuzz ## Parsers and engine, FUZZ_SECONDS each, with what coverage suggests (libFuzzer); what fails stays in tests/fuzz/corpus
	tests/fuzz/run $(FUZZ_SECONDS)

mutants: .needs-mutants ## Changes the engine at every place; survivors are missing tests (MUTANTS: which files, as cargo-mutants takes them)
	tests/mutants $(MUTANTS)

deny: .needs-deny ## Licences, second versions, sources and known weaknesses of all packages (cargo-deny; ADVISORIES: a clone of RustSec's database, where that cannot be fetched)
	$(CARGO) deny --locked check -D warnings bans licenses sources
	tests/advisories $(ADVISORIES)

build: .needs-build ## The program, in target/release (PROFILE)
	$(REMAPPED) $(CARGO) build --locked --profile $(PROFILE)

static: .needs-static ## The same without a library of the system, for any Linux of this architecture: target/*-musl/release/keepfresh
	@rustup target add $(MUSL) || { \
	  echo "there is no $(MUSL) target here: without it no static program can be built" >&2; exit 1; }
	$(REMAPPED) $(CARGO) build --locked --profile $(PROFILE) --target $(MUSL)

install: ## What `make build` made, with units, man pages and completions, below DESTDIR and PREFIX (/usr/local)
	BINARY=$(BUILT) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) packaging/install

deb: build ## A Debian package in target/dist
	packaging/deb/build $(BUILT) $(DIST)

rpm: .needs-rpm build ## An rpm in target/dist, by rpmbuild
	packaging/rpm/build $(BUILT) $(DIST)

image: .needs-image build ## A container image in target/dist, by podman
	packaging/container/build $(BUILT) $(DIST)

clean: ## Removes what was built and installed here
	$(CARGO) clean
	rm -rf tests/*/node_modules tests/*/.venv tests/*/packages tests/*/program

# tests/needs lists what the targets need; what is missing is installed, with a message.
.needs-%:
	@tests/install $*
