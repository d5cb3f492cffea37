# `make help` lists the targets. Everything needs Go 1.26; `make test` fetches the rest by itself.

GO      ?= go
BIN     := bin/tandem
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Of the CBOR codec, no code for every type that there could be: 2 MB instead of 10.
TAGS    := codec.notfastpath,codec.notmono
TOOL    := $(GO) tool -modfile=tools/go.mod

# The race detector, except in SQLite itself: that is C translated to Go, which is slowed down most and has no races of ours.
# In the driver, what goes with it and looks at each pointer is left out.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false \
        -gcflags=modernc.org/memory=-race=false -gcflags=modernc.org/sqlite=-d=checkptr=0

# It would have each process wait for a second before it ends, in case another race shows.
RACING := GORACE=atexit_sleep_ms=0

# Folders that are tested without the race detector, after the others and one at a time, which is steadier: browsers, and load.
ALONE := /(web|bench)(/|$$)

# What takes longest begins first, so that no processor waits for the last one.
LONG := /(cmd/tandem|simtest|syncer|store/(postgres|sqlite)|api|jobs|web|web/(device|sync))$$

# How tests are run; `make test` has had all looked at by vet.
TESTING = -vet=off -timeout 30m $(if $(RUN),-run '$(RUN)')

# What `make demo` and `make simtest` and so on pass on: make demo ARGS='--devices 200'
ARGS    ?=
# Seeds of `make simtest`, or the one to replay; packages and tests of `make test PKG=./merge RUN=S12`.
SEEDS   ?= 1000
SEED    ?=
PKG     ?= ./...
RUN     ?=

.DEFAULT_GOAL := help

##@ Start here

.PHONY: demo
demo: build ## Build, then look at a simulated fleet that lives, on pages of its own, with a short tour
	$(BIN) demo $(ARGS)

.PHONY: test
test: test-deps ## Install what the tests need and is missing, then run them all: race detector, both databases
	$(GO) vet $(RACE) $(PKG)
	@set -e; all=$$($(GO) list $(PKG)); those() { grep "$$@" || true; }; \
	all=$$(echo "$$all" | those -E '$(LONG)'; echo "$$all" | those -vE '$(LONG)'); \
	racing=$$(echo "$$all" | those -vE '$(ALONE)'); alone=$$(echo "$$all" | those -E '$(ALONE)'); \
	if [ -n "$$racing" ]; then $(RACING) $(GO) test $(RACE) $(TESTING) $$racing; fi; \
	if [ -n "$$alone" ]; then CGO_ENABLED=0 $(GO) test -tags $(TAGS) -p 1 $(TESTING) $$alone; fi

.PHONY: build
build: ## Build bin/tandem, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/tandem

.PHONY: help
help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile
	@printf '\nVariables: PKG=./merge and RUN=S12 narrow test; ARGS=… goes to demo and bench; SEEDS=50 to simtest.\n'

##@ Deeper tests

.PHONY: simtest
simtest: test-deps ## Whole-system runs with faults and kills: SEEDS of them (1000) on SQLite, a sixth on PostgreSQL; one again: SEED=42
	$(GO) test -timeout 0 -run 'TestSeeds' ./simtest $(if $(SEED),-seed=$(SEED) -story -v,-seeds=$(SEEDS)) $(ARGS)

.PHONY: test-golioth
test-golioth: ## The client's contract against the real Golioth (TANDEM_GOLIOTH_KEY, TANDEM_GOLIOTH_PROJECT); cleans up after itself
	@test -n "$$TANDEM_GOLIOTH_KEY" && test -n "$$TANDEM_GOLIOTH_PROJECT" || { \
	  echo "make test-golioth: set TANDEM_GOLIOTH_KEY and TANDEM_GOLIOTH_PROJECT (and TANDEM_GOLIOTH_URL for another server)."; \
	  echo "It makes devices and tags with names of its own, touches no others, and deletes them."; exit 2; }
	$(GO) test -count=1 -v -tags golioth_live -run TestLive ./golioth/

.PHONY: bench
bench: build test-deps ## Measure Tandem against the bare requests it needs: a table, and bin/bench.json (ARGS='-only a,b -db sqlite')
	$(GO) run ./bench -tandem $(BIN) -json bin/bench.json $(ARGS)

.PHONY: bench-web
bench-web: test-deps ## Measure the pages with 100,000 devices: the first visit, later ones, filters, weight (ARGS='-devices 1000 -postgres')
	$(GO) test -count=1 -timeout 30m -v -run TestSpeed ./web -args -speed $(ARGS)

.PHONY: screenshots
screenshots: test-deps ## Picture every page in light and dark, on a desktop and a phone, into docs/screenshots
	@mkdir -p docs/screenshots
	TANDEM_SCREENSHOTS=$(CURDIR)/docs/screenshots $(GO) test -count=1 -timeout 20m -run TestEveryPage ./web

.PHONY: mutate
mutate: ## Break merge and syncer on purpose, one place at a time, and list what no test noticed
	scripts/mutate $(ARGS)

.PHONY: cover
cover: test-deps ## Test coverage by function, and coverage/index.html
	@mkdir -p coverage
	$(GO) test -timeout 20m -coverpkg=./... -coverprofile=coverage/profile.out $(PKG)
	$(GO) tool cover -html=coverage/profile.out -o coverage/index.html
	$(GO) tool cover -func=coverage/profile.out | tail -n 1

##@ Keeping the code in shape

.PHONY: lint
lint: ## Run the linters of .golangci.yml (the first time builds them, about 90 s)
	$(TOOL) golangci-lint run $(ARGS) ./...

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) golangci-lint fmt ./...

.PHONY: assets
assets: ## Fetch anew what the pages load from others (npm, pinned by its lock file) into web/asset/vendor
	scripts/assets

.PHONY: generate
generate: ## Make the Go code of the pages (web/**/*.templ); its result is committed
	$(TOOL) templ generate -path web -log-level warn

.PHONY: generate-check
generate-check: generate ## Fail when generated or formatted files differ from what is committed
	$(GO) generate ./...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not formatted:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	git diff --exit-code

.PHONY: clean
clean: ## Remove what was built and measured (never a database or a key)
	rm -rf bin coverage

.PHONY: test-deps
test-deps:
	@scripts/ensure-test-deps
