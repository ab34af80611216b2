# hangar's chores. `make` lists them.

GO     ?= go
# The race detector needs a C compiler.
RACE   := $(shell command -v $(or $(CC),cc) >/dev/null 2>&1 && echo -race)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
DELVE       := github.com/go-delve/delve/cmd/dlv@v1.27.2

.DEFAULT_GOAL := help

.PHONY: help
help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Without what only debuggers read, a third of its bytes; make debug builds another.
.PHONY: build
build: ## build bin/hangar
	$(GO) build -ldflags='-s -w' -o bin/hangar ./cmd/hangar

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
	admin=8003; for service in products orders gateway; do \
	bin/hangar serve $$service --admin-addr 127.0.0.1:$$admin & pids="$$pids $$!"; admin=$$((admin - 1)); done; wait

# hangar's own packages are built as the debugger likes them; the others would
# take minutes. Without its input Delve leaves Ctrl-C to itself. The variable is not
# DEBUG, which those who come from the Python services may have set to 1.
DEBUG_ADDR ?= 127.0.0.1:5678
ARGS       ?=
.PHONY: debug
debug: ## run the store under Delve, which waits at DEBUG_ADDR for a debugger; ARGS="orders --amqp ..." for serve
	@mkdir -p bin
	@$(GO) build -gcflags='hangar/...=-N -l' -o bin/hangar-debug ./cmd/hangar
	@echo 'Nothing runs until a debugger is attached to $(DEBUG_ADDR): VS Code, "Attach to make debug";'
	@echo 'or $(GO) run $(DELVE) connect $(DEBUG_ADDR), then continue. Ctrl-C ends it all.'
	@$(GO) run $(DELVE) exec bin/hangar-debug --headless --api-version 2 --accept-multiclient --listen $(DEBUG_ADDR) \
		-- serve $(ARGS) </dev/null

.PHONY: backing
backing: ## start a broker and both databases in .backing/, unless they run
	@$(GO) run ./cmd/backing start

.PHONY: backing-stop
backing-stop: ## end what backing has started; the data stays
	@$(GO) run ./cmd/backing stop

.PHONY: deps
deps: ## fetch what the build and the tests need; servers and a browser with apt-get, where it can
	$(GO) mod download
	$(GO) run ./perf/load k6
	$(GO) run $(DELVE) version
	@sh backing/deps.sh

SCREENSHOTS ?= $(CURDIR)/bin/screenshots
.PHONY: test
test: ## run every test but faults, with the race detector where a C compiler is; screenshots go to bin/screenshots
	HANGAR_SCREENSHOTS=$(SCREENSHOTS) $(GO) run ./cmd/backing exec -- $(GO) test $(RACE) -count=1 -timeout 40m $$($(GO) list ./... | grep -v '/faults$$')

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

BASE ?=
.PHONY: bench
bench: ## measure against bare limits of this machine; compare with the run before, or with BASE=file
	$(GO) run ./perf/bench $(if $(BASE),-base $(BASE))

BENCH_TABLE ?= $(CURDIR)/bin/bench.md
.PHONY: bench-short
bench-short: ## the same in two minutes: shows that it all works, and the figures hardly
	$(GO) run ./perf/bench -rounds 2 -round 300ms -stored 20000 -samples= -table $(BENCH_TABLE)

.PHONY: bench-curves
bench-curves: ## measure response times against what is stored, and draw them for the documents
	$(GO) run ./perf/bench curves

TARGET ?= local
USERS  ?= 3
RAMP   ?= 1m
HOLD   ?= 3m
.PHONY: perf
perf: ## load the store at TARGET with USERS users for RAMP and HOLD, with live charts, and leave a report
	@$(GO) build -o bin/load ./perf/load
	@bin/load run -target '$(TARGET)' -users '$(USERS)' -ramp '$(RAMP)' -hold '$(HOLD)' \
		$(if $(RATE),-rate '$(RATE)') $(if $(P95),-p95 '$(P95)') $(if $(STEPS),-steps '$(STEPS)') \
		$(if $(PRODUCTS),-products '$(PRODUCTS)') $(if $(OUT),-out '$(OUT)')

.PHONY: perf-compare
perf-compare: ## put the runs A=folder and B=folder side by side in one page
	@$(GO) run ./perf/load compare -a '$(A)' -b '$(B)' $(if $(OUT),-out '$(OUT)')

.PHONY: lint
lint: ## formatting, vet and staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags faults ./...
	$(GO) run $(STATICCHECK) ./...
