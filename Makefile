# SPDX-License-Identifier: Apache-2.0

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# The toolchain line of each go.mod decides which Go is used. The go command
# gets that one from the module proxy if it is newer than the installed one.
export GOTOOLCHAIN := auto

# "make help" says what these do.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PKG ?= ./...
RACE ?=
TEST_TIMEOUT ?= 20m
TRUTH_DIR ?= e2e/testdata/truth
BENCH ?= .
FUZZTIME ?= 30s
FUZZ_SHORT := routing/FuzzMatch routing/FuzzConfigOf routing/FuzzFactsOf checks/FuzzRun webhook/FuzzDecode webhook/FuzzServeHTTP internal/policy/FuzzParse certs/FuzzNext
FUZZ := $(FUZZ_SHORT) routing/FuzzPattern internal/manifests/FuzzRead
# Of each target in "make test", unless FUZZTIME is given.
FUZZTIME_SHORT := $(if $(filter file,$(origin FUZZTIME)),12s,$(FUZZTIME))
SOAKTIME ?= 10m
OLDEST := ./e2e/admission ./e2e/audit ./e2e/certs ./e2e/chart ./e2e/faults ./e2e/reverse ./e2e/truth
FOCUS ?=
E2E ?=
DEMO_KEEP ?=
export DEMO_KEEP

tool := go tool -modfile=go.tool.mod
# A tool that runs inside a nested module must be the one that was built for the
# root module, whatever toolchain the nested go.mod asks for.
nested_tool = cd $(1) && GOTOOLCHAIN=$$toolchain go tool -modfile=../../go.tool.mod
controlplane := go -C e2e/controlplane run .
chart_tools := $(CURDIR)/bin/chart-tools

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables\n'
	@printf '  %-14s %s\n' \
		DEMO_KEEP=1 'demo: leave everything running, and print how to use it' \
		PKG=./checks 'test: the packages of the root module to run' \
		RACE=1 'test: with the race detector (needs a C compiler)' \
		E2E=1 'test: run e2e as well, on this machine; E2E=auto: where it can be a cluster' \
		FOCUS=regexp 'e2e: the specs to run' \
		BENCH=regexp 'bench: the benchmarks to run' \
		TRUTH_DIR=dir 'truth: the recording to judge' \
		FUZZTIME=10m 'fuzz, test: the time for each fuzz target' \
		SOAKTIME=1h 'soak: how long to write' \
		VERSION=v1.2.3 'build: the version to report; otherwise git describes it'

##@ Try it

.PHONY: demo
demo: build ## Start a real API server with Routegate in front of it, and show kubectl's answers.
	@assets=$$($(controlplane)); KUBEBUILDER_ASSETS=$$assets go run ./e2e/demo

.PHONY: demo-stop
demo-stop: ## Stop what "make demo DEMO_KEEP=1" left running.
	@go run ./e2e/demo -stop

##@ Build

.PHONY: build
build: ## Build bin/routegate.
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/routegate ./cmd/routegate

.PHONY: image
image: ## Build the Dockerfile for amd64 and arm64 into bin/image, without a Docker engine and without a registry.
	@VERSION=$(VERSION) hack/image.sh

.PHONY: controlplane
controlplane: ## Build etcd, kube-apiserver and kubectl, and print their folder.
	@$(controlplane)

# Where they are up to date, nothing is built.
.PHONY: helm
helm: ## Build Helm and what checks charts, and print their folder.
	@mkdir -p $(chart_tools)
	@CGO_ENABLED=0 go -C charts/tools build -trimpath -ldflags '-s -w' -o $(chart_tools)/ tool
	@echo $(chart_tools)

.PHONY: generate
generate: ## Write what is made from the code, such as docs/checks.
	@go generate ./...

.PHONY: clean
clean: ## Remove bin, with everything that was built.
	@rm -rf bin

##@ Check

ifneq ($(filter-out 1 auto,$(E2E)),)
$(error E2E=$(E2E): must be 1, auto or empty)
endif

.PHONY: test
test: ## Vet, run all tests, those against a real kube-apiserver included, fuzz what reads input, and hold speed and memory as ratios.
	@go vet ./...
	@go -C e2e/controlplane vet ./...
	@go -C charts/tools vet ./...
	@go -C e2e/bench/plot vet ./...
	@go -C e2e/controlplane test -count=1 ./...
	@mkdir -p bin
	@assets=$$($(controlplane) -controllers); \
	echo "test: control plane in $$assets"; \
	export CHART_TOOLS=$$($(MAKE) --no-print-directory -s helm); \
	echo "test: Helm in $$CHART_TOOLS"; \
	failed=0; \
	$(if $(MAKE_TERMOUT),,GINKGO_NO_COLOR=1) KUBEBUILDER_ASSETS=$$assets $(if $(RACE),CGO_ENABLED=1) $(tool) gotestsum --format=pkgname --format-hide-empty-pkg --jsonfile=bin/test.json -- \
		-count=1 -timeout=$(TEST_TIMEOUT) $(if $(RACE),-race) $(PKG) || failed=$$?; \
	awk '/"Action":"run"/ {tests++} \
		match($$0, /Ran [0-9]+ of [0-9]+ Specs/) {split(substr($$0, RSTART), words, " "); specs += words[2]} \
		/"Action":"(pass|fail)"/ && !/"Test":/ {packages++} \
		END {printf "test: ran %d tests and %d Ginkgo specs in %d packages; the log is bin/test.json\n", tests, specs, packages}' bin/test.json; \
	if ((failed == 0)); then $(MAKE) --no-print-directory fuzz FUZZ="$(FUZZ_SHORT)" FUZZTIME=$(FUZZTIME_SHORT); $(MAKE) --no-print-directory bench-gate; fi; \
	exit $$failed
	@$(if $(E2E),$(MAKE) --no-print-directory e2e-$(E2E))

# As a part of "make test", the suite makes this machine a cluster if it is asked
# to, and touches no other.
.PHONY: e2e-1
e2e-1:
	@unset KUBECONFIG KUBEBUILDER_ASSETS; exec $(MAKE) --no-print-directory e2e

.PHONY: e2e-auto
e2e-auto:
	@unfit=$$($(MAKE) --no-print-directory -s e2e-preflight); \
	if [[ -n $$unfit ]]; then \
		printf 'test: LEFT OUT: the suite on a real node (make e2e), since this machine cannot be one: %s\n' "$${unfit//$$'\n'/; }"; \
	else \
		echo 'test: this machine can be a node; running make e2e'; exec $(MAKE) --no-print-directory e2e-1; \
	fi

.PHONY: chart-test
chart-test: ## Run the tests of the chart: what it renders, and on a real kube-apiserver.
	@assets=$$($(controlplane)); export CHART_TOOLS=$$($(MAKE) --no-print-directory -s helm); \
	KUBEBUILDER_ASSETS=$$assets go test -count=1 -timeout=$(TEST_TIMEOUT) ./charts ./e2e/chart

.PHONY: test-oldest
test-oldest: ## Run the suites that need an API server against the oldest Kubernetes that the chart admits.
	@assets=$$($(controlplane) -oldest -controllers); export CHART_TOOLS=$$($(MAKE) --no-print-directory -s helm); \
	echo "test-oldest: control plane in $$assets"; \
	KUBEBUILDER_ASSETS=$$assets go test -count=1 -timeout=$(TEST_TIMEOUT) $(OLDEST)

# The suite is not run by "go test", which would leave it alone when it is told
# to stop. What make tells it to, the suite does: it stops the cluster.
.PHONY: e2e
e2e: ## Install the chart into a real cluster: the one of KUBECONFIG, or this machine (as root), and use it with Helm and kubectl.
	@go vet -tags e2e ./e2e/node/...
	@go test -tags e2e -c -o bin/e2e/node.test ./e2e/node
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/e2e/ ./e2e/node/pause ./e2e/node/preflight
	@export CHART_TOOLS=$$($(MAKE) --no-print-directory -s helm); \
	if [[ -z $${KUBECONFIG:-} ]]; then \
		assets=$$($(controlplane) -node); export KUBEBUILDER_ASSETS=$$assets; \
		PLATFORMS=linux/$$(go env GOARCH) OUT=bin/e2e/image hack/image.sh; \
		CGO_ENABLED=0 go -C e2e/certmanager build -trimpath -ldflags '-s -w' -o ../../bin/e2e/cert-manager .; \
	else \
		echo 'e2e: LEFT OUT: what needs the node itself (lost nodes, restarts, cert-manager), since KUBECONFIG names another cluster'; \
	fi; \
	cd e2e/node && exec ../../bin/e2e/node.test -test.timeout=55m -test.v -ginkgo.v $(if $(MAKE_TERMOUT),,-ginkgo.no-color) $(if $(FOCUS),-ginkgo.focus '$(FOCUS)')

# Why this machine cannot be a cluster; nothing when it can.
.PHONY: e2e-preflight
e2e-preflight:
	@mkdir -p bin/e2e
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/e2e/ ./e2e/node/pause ./e2e/node/preflight
	@bin/e2e/preflight bin/e2e/pause

# To make each new input small takes a minute unless it is bounded, and then nothing
# else is tried in a short run.
.PHONY: fuzz
fuzz: ## Fuzz the routing model, all checks, the webhook's handler, policy files, manifests and what is made of Secrets.
	@for target in $(FUZZ); do go test -run '^$$' -fuzz "^$${target##*/}$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$${target%/*}; done

.PHONY: truth
truth: ## Judge the recorded scenarios, and compare with what really happened.
	@go run ./e2e/truth -dir $(TRUTH_DIR)

.PHONY: bench
bench: ## Measure a verdict, a round trip and the cache against the plainest thing in their place, and a check of 10 000 manifests.
	@go test -run '^$$' -bench '$(BENCH)' -benchmem ./internal/audit ./internal/cluster ./internal/policy ./webhook
	@go run ./e2e/bench
	@go test -run '^$$' -bench '$(BENCH)' -benchtime 3x -benchmem ./cmd/routegate

# Where the time and the memory go, for docs/performance.md. It wants a quiet machine.
.PHONY: performance
performance: ## Measure at several sizes, with a start among 100 000 objects, and draw the plots of docs/performance.md.
	@mkdir -p bin docs/performance
	@assets=$$($(controlplane)); export KUBEBUILDER_ASSETS=$$assets; \
	go run ./e2e/bench -series bin/figures.json; \
	go run ./e2e/bench -startup 100000
	@go -C e2e/bench/plot run . $(CURDIR)/bin/figures.json $(CURDIR)/docs/performance

# It fails where a ratio to the plainest thing in Routegate's place is far above what was
# reached. It wants no quiet machine: both are measured in turn.
.PHONY: bench-gate
bench-gate:
	@go run ./e2e/bench -gate -requests 1000

.PHONY: faults
faults: ## Count what becomes of Ingresses that are written while the API server fails in many ways, and print tables.
	@assets=$$($(controlplane)); KUBEBUILDER_ASSETS=$$assets go test -count=1 -timeout=$(TEST_TIMEOUT) ./e2e/faults -v -ginkgo.focus 'written all the time|Clocks that differ|Two replicas'

.PHONY: soak
soak: ## Keep a real API server busy with Routegate in front of it for SOAKTIME, and fail if Routegate grows.
	@assets=$$($(controlplane)); KUBEBUILDER_ASSETS=$$assets go run ./e2e/soak -duration $(SOAKTIME)

.PHONY: lint
lint: ## Run the linters.
	@$(tool) golangci-lint run
	@toolchain=$$(go env GOVERSION); $(call nested_tool,e2e/controlplane) golangci-lint run
	@toolchain=$$(go env GOVERSION); $(call nested_tool,e2e/certmanager) golangci-lint run
	@toolchain=$$(go env GOVERSION); $(call nested_tool,charts/tools) golangci-lint run
	@toolchain=$$(go env GOVERSION); cd e2e/bench/plot && GOTOOLCHAIN=$$toolchain go tool -modfile=../../../go.tool.mod golangci-lint run

# What "go list" says of every module that is linked into the program.
linked = go list -m -json $$(go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}' ./cmd/routegate | sort -u)

.PHONY: licences
licences: ## List the licences of what the program is built of in docs/licences.md; fail on one that is not accepted.
	@$(linked) | $(tool) go-licence-detector -includeIndirect -rules hack/licences/rules.json \
		-overrides hack/licences/overrides.json -depsTemplate hack/licences/page.tmpl -depsOut docs/licences.md

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities in what is called; it asks the Go vulnerability database.
	@$(tool) govulncheck ./cmd/...

.PHONY: fmt
fmt: ## Format the Go code.
	@$(tool) golangci-lint fmt

.PHONY: tidy
tidy: ## Tidy go.mod, go.tool.mod and the go.mod of each nested module.
	@go mod tidy
	@go -C e2e/controlplane mod tidy
	@go -C e2e/controlplane/oldest mod tidy
	@go -C e2e/certmanager mod tidy
	@go -C charts/tools mod tidy
	@go -C e2e/bench/plot mod tidy
	@$(call with_tool_module,mod tidy); cp "$$dir/go.mod" go.tool.mod; cp "$$dir/go.sum" go.tool.sum

.PHONY: verify
verify: ## Generate, check modules, format, linters and licence lines, and demand a clean tree.
	@$(MAKE) --no-print-directory generate
	@$(MAKE) --no-print-directory licences
	@go mod tidy -diff
	@go -C e2e/controlplane mod tidy -diff
	@go -C e2e/controlplane/oldest mod tidy -diff
	@go -C e2e/certmanager mod tidy -diff
	@go -C charts/tools mod tidy -diff
	@go -C e2e/bench/plot mod tidy -diff
	@$(call with_tool_module,mod tidy -diff)
	@$(tool) golangci-lint fmt --diff
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory verify-licence
	@git diff --exit-code HEAD || { echo 'verify: commit or undo these changes' >&2; exit 1; }
	@untracked=$$(git ls-files -o --exclude-standard); \
	if [[ -n $$untracked ]]; then printf 'verify: commit or remove these files\n%s\n' "$$untracked" >&2; exit 1; fi
	@echo 'verify: the tree is clean and complete'

# Data and what cannot hold a comment are left out.
.PHONY: verify-licence
verify-licence:
	@missing=$$(git ls-files -co --exclude-standard | while read -r file; do \
		case $$file in LICENSE | *.sum | *.json | *.svg | *.png | testdata/* | */testdata/*) continue ;; esac; \
		if [[ -f $$file ]] && ! head -n 5 "$$file" | grep -q 'SPDX-License-Identifier: Apache-2.0'; then echo "$$file"; fi; \
	done); \
	if [[ -n $$missing ]]; then printf 'verify: add "SPDX-License-Identifier: Apache-2.0" to the first lines of\n%s\n' "$$missing" >&2; exit 1; fi

# The tools' module lies in the root folder only by name. Run there, "go mod
# tidy -modfile" would add everything that Routegate itself imports.
define with_tool_module
dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; cp go.tool.mod "$$dir/go.mod"; cp go.tool.sum "$$dir/go.sum"; go -C "$$dir" $(1)
endef
