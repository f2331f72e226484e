# The few verbs of this project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION ?= $(shell cat VERSION)
BIN := .bin
LDFLAGS := -s -w -X main.version=$(VERSION)

# Nothing of git goes into the programs: their version is that of the file VERSION,
# and in a clone that another user owns, as in a container, go would refuse to build.
export GOFLAGS := $(strip $(shell go env GOFLAGS 2>/dev/null) -buildvcs=false)

# Benchmarks: rounds, scenarios (empty: all), sizes of the databases.
BENCH_COUNT ?= 5
BENCH_ONLY ?=
BENCH_SIZES ?= 10000,1000000

# Tools, at versions that are known to work together with Go 1.26.
GOLANGCI_LINT := $(BIN)/golangci-lint-2.15.0
GOTESTSUM := $(BIN)/gotestsum-1.13.0
NFPM := $(BIN)/nfpm-2.45.2

.PHONY: help
help: ## list the verbs
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the programs into ./bin, and what they need into ./lib
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o lib/middleware-api/ ./cmd/middleware-api
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/middleware-api ./cmd/launcher
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/sql-to-arc

.PHONY: run
run: build ## run everything on this machine: PostgreSQL, service, synchroniser, a sample upload
	@mkdir -p $(BIN)
	@go build -o $(BIN)/devrun ./internal/devrun
	@exec $(BIN)/devrun

.PHONY: test
test: $(GOTESTSUM) $(NFPM) ## run every test; ends with what ran, and what was skipped and why
	PATH="$(CURDIR)/$(BIN):$$PATH" go run ./internal/pgtest/withpostgres \
		$(GOTESTSUM) --format pkgname --format-hide-empty-pkg --rerun-fails=1 --rerun-fails-max-failures=3 --packages ./... -- -timeout 70m

.PHONY: race
race: ## the same under the race detector, package by package
	@failed=; for p in $$(go list ./...); do go test -race -timeout 30m $$p || failed="$$failed $$p"; done; \
		[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

FUZZTIME ?= 30s

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (30s); what breaks one is kept in testdata/fuzz
	@set -e; git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u | while read -r d; do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$d/*_test.go | cut -c6-); do \
			echo "$$d $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) ./$$d; \
		done; done

.PHONY: vuln
vuln: ## known vulnerabilities in what is linked in (asks vuln.go.dev)
	go run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## formatting, static analysis, tidy go.mod
	$(GOLANGCI_LINT) run ./...
	go mod tidy -diff

.PHONY: bench
bench: ## measure against peer and limits, draw docs/benchmark-*.svg (BENCH_COUNT rounds, BENCH_ONLY scenarios, BENCH_SIZES ARCs)
	@mkdir -p $(BIN)
	go build -o $(BIN)/bench ./bench
	$(BIN)/bench run -count $(BENCH_COUNT) -only "$(BENCH_ONLY)" -sizes $(BENCH_SIZES)
	$(BIN)/bench chart
	$(BIN)/bench report

.PHONY: microbench
microbench: ## the benchmarks beside the packages
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: torture
torture: $(GOTESTSUM) ## break everything under load, long form (TORTURE_ACKS uploads, TORTURE_TIME at least, TORTURE_SEED)
	TORTURE_ACKS=$${TORTURE_ACKS:-100000} TORTURE_ARCS=$${TORTURE_ARCS:-4000} $(GOTESTSUM) --format standard-verbose -- -count=1 -timeout 24h ./internal/torture

.PHONY: soak
soak: $(GOTESTSUM) $(NFPM) ## half load under systemd for SOAK_TIME (1h): memory, descriptors and goroutines have to stay flat (root)
	PATH="$(CURDIR)/$(BIN):$$PATH" SOAK_TIME=$${SOAK_TIME:-1h} $(GOTESTSUM) --format standard-verbose -- -count=1 -timeout 48h -run TestSoak ./internal/e2e

.PHONY: e2e
e2e: $(GOTESTSUM) $(NFPM) ## the package in a booted systemd, long form (root)
	PATH="$(CURDIR)/$(BIN):$$PATH" E2E_LONG=1 $(GOTESTSUM) --format testname -- -timeout 80m ./internal/e2e

.PHONY: deb
deb: $(NFPM) ## build the Debian packages into ./dist
	PATH="$(CURDIR)/$(BIN):$$PATH" VERSION=$(VERSION) packaging/build-deb.sh
	PATH="$(CURDIR)/$(BIN):$$PATH" VERSION=$(VERSION) packaging/build-sql-to-arc.sh

.PHONY: conformance
conformance: ## compare with the reference library of the ARC format (needs node, npm, CONFORMANCE_DIR)
	go test -count=1 -tags office -run "Conformance|Reference|Office" -v ./internal/scaffold/... ./internal/rocrate/... ./internal/sqltoarc

.PHONY: clean
clean: ## remove what was built (not .run, which holds data: remove it by hand)
	rm -rf bin lib dist $(BIN)

# Each tool is installed under a name that carries its version, so that a new
# version in this file is a new file on disk.
$(GOLANGCI_LINT):
	@mkdir -p $(BIN)
	GOBIN=$(CURDIR)/$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv $(BIN)/golangci-lint $@

$(GOTESTSUM):
	@mkdir -p $(BIN)
	GOBIN=$(CURDIR)/$(BIN) go install gotest.tools/gotestsum@v1.13.0
	mv $(BIN)/gotestsum $@

$(NFPM):
	@mkdir -p $(BIN)
	GOBIN=$(CURDIR)/$(BIN) go install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
	mv $(BIN)/nfpm $@
	ln -sf $(notdir $@) $(BIN)/nfpm
