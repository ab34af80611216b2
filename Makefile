# hangar's chores. `make` lists them.

GO     ?= go
# The race detector needs a C compiler.
RACE   := $(shell command -v $(or $(CC),cc) >/dev/null 2>&1 && echo -race)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help

.PHONY: help
help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/hangar
	$(GO) build -o bin/hangar ./cmd/hangar

.PHONY: run
run: ## run the store on http://127.0.0.1:8000, data in ./hangar-data
	$(GO) run ./cmd/hangar serve

.PHONY: smoke
smoke: ## try the store that runs on http://127.0.0.1:8000
	$(GO) run ./cmd/hangar smoke local

.PHONY: dev
dev: build backing ## run the three services on a broker and databases of their own
	@set -a; . .backing/env; set +a; pids=; \
	trap 'trap - INT TERM; kill -TERM $$pids; wait' INT TERM; \
	for service in products orders gateway; do bin/hangar serve $$service & pids="$$pids $$!"; done; wait

.PHONY: backing
backing: ## start a broker and both databases in .backing/, unless they run
	@$(GO) run ./cmd/backing start

.PHONY: backing-stop
backing-stop: ## end what backing has started; the data stays
	@$(GO) run ./cmd/backing stop

.PHONY: deps
deps: ## fetch what the build and the tests need; the servers with apt-get, where it can
	$(GO) mod download
	@sh backing/deps.sh

.PHONY: test
test: ## run every test but faults, with the race detector where a C compiler is
	$(GO) run ./cmd/backing exec -- $(GO) test $(RACE) -count=1 $$($(GO) list ./... | grep -v '/faults$$')

FAULTS_TABLE ?= $(CURDIR)/bin/faults.md
.PHONY: faults
faults: ## kill, cut off, fill up and poison the store in every way, and print what was counted
	@mkdir -p $(dir $(FAULTS_TABLE))
	HANGAR_FAULTS_TABLE=$(FAULTS_TABLE) $(GO) test ./faults -count=1 -timeout 40m

.PHONY: faults-long
faults-long: ## the same with the full number of faults (hours)
	@mkdir -p $(dir $(FAULTS_TABLE))
	HANGAR_FAULTS=long HANGAR_FAULTS_TABLE=$(FAULTS_TABLE) $(GO) test ./faults -count=1 -timeout 12h -v

SOAK ?= 1h
.PHONY: soak
soak: ## load one process and the services for SOAK, without faults and with, and watch what they use
	@mkdir -p $(dir $(FAULTS_TABLE))
	HANGAR_SOAK=$(SOAK) HANGAR_FAULTS_TABLE=$(FAULTS_TABLE) $(GO) test ./faults -run Soak -count=1 -timeout 24h -v

FUZZTIME ?= 1m
.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME
	@sh .ci/fuzz $(GO) $(FUZZTIME)

.PHONY: bench
bench: ## measure, and print a table of ratios against bare limits of this machine
	$(GO) run ./perf

.PHONY: lint
lint: ## formatting, vet and staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags faults ./...
	$(GO) run $(STATICCHECK) ./...
