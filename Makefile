# `make` alone prints the targets: a target's help is the text after its `##`.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help run test check stomp-coverage check-deploy kafka cluster down image load chaos roll bench bench-quick growth fuzz simulate tools print-edge

# A missing toolchain is named (make tools), never downloaded behind anyone's back.
export RUSTUP_AUTO_INSTALL = 0
export DOCKER IMAGE

NODES ?= 1
PORT ?= 8080
F ?= list
RUNS ?= 1
SEED ?=
MINUTES ?= 60
ARGS ?=
ROWS ?= all
# Where cargo puts what it builds, whatever CARGO_TARGET_DIR or its configuration say.
RELEASE = $(shell cargo metadata --no-deps --offline --format-version 1 2>/dev/null | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release
# Always all binaries: one of them alone would compile shared crates again with other features.
BUILD = $(NEED_CARGO) && { cargo build --release --locked --workspace --bins || { echo 'the build failed; should a tool be missing, `make tools` names it' >&2; exit 1; }; }
NEED_CARGO = { command -v cargo >/dev/null || { echo "no 'cargo': builds everything; https://rustup.rs" >&2; exit 1; }; }

help: ## Print this list
	@printf 'klatsch: a chat edge for teams that run Kafka. Targets:\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' $(MAKEFILE_LIST) | awk '{ name = $$1; $$1 = ""; printf "  make %-16s%s\n", name, $$0 }'
	@printf '\nStart here: `make run`, then open the page it names in two windows.\n'

run: ## One edge with its own throw-away log, and the page: open the URL it prints [PORT=8080]
	@$(BUILD)
	@echo "the page: http://127.0.0.1:$(PORT)/ (Ctrl-C ends it)" >&2
	@exec $(RELEASE)/klatsch-edge --dev --listen 127.0.0.1:$(PORT) $(ARGS)

test: ## Everything: tools, check, fuzz, and all tests, those with real Kafka, Node.js and Chromium too
	@deploy/local/test

check: ## Formatting, lints, documentation, file lengths
	@deploy/local/check

stomp-coverage: ## Is every behaviour of proto/stomp/behaviours.md named by a test? Prints those that are not [ARGS=-v]
	@deploy/local/stomp-coverage $(ARGS)

check-deploy: ## Manifests, compose file, image, alerts, scripts: will those who read them take them? [ARGS="schemas seeded"|list|write]
	@$(BUILD)
	@KLATSCH_EDGE=$(RELEASE)/klatsch-edge exec deploy/local/check-deploy $(ARGS)

kafka: ## Real Kafka brokers on loopback, until `make down`; prints host:port[,...] [NODES=1|3]
	@deploy/local/kafka-local up $(NODES)
	@deploy/local/kafka-local boot

cluster: ## Three brokers, three edges, a load balancer, until `make down`; prints the URL. In Docker where that answers [DOCKER=no]
	@if deploy/local/compose answers; then exec deploy/local/compose up; fi; \
	  { $(BUILD); } && KLATSCH_EDGE=$(RELEASE)/klatsch-edge exec deploy/local/cluster up

down: ## End what `make kafka` and `make cluster` started, and remove its data
	@deploy/local/compose down
	@deploy/local/cluster down

image: ## The image of the edge, built by Docker's buildx or podman [IMAGE=name:tag ARGS="--push --sbom=true"]
	@deploy/image/build $(ARGS)

load: ## Chat through the cluster and check the promises [URL=...] [DURATION=30] [RECORD=FILE] [ARGS="--connections 500"]
	@$(BUILD)
	@url=$(URL); url=$${url:-$$(deploy/local/compose url 2>/dev/null || deploy/local/cluster url)} && \
	  exec $(RELEASE)/klatsch-load chat --url "$$url" --seconds $(or $(DURATION),30) $(if $(RECORD),--record '$(RECORD)') $(ARGS)

chaos: ## Break things under load, check the promises [F=kill-edge|all|random|list] [RUNS=1] [SEED=n MINUTES=60] [KAFKA_DEFAULTS=1]
	@$(BUILD)
	@KLATSCH_EDGE=$(RELEASE)/klatsch-edge exec $(RELEASE)/klatsch-load chaos $(F) --runs $(RUNS) --minutes $(MINUTES) \
	  $(if $(SEED),--seed $(SEED)) $(ARGS)

roll: ## Replace every edge under load: 6,000 sessions, 200 SENDs/s, three edges; a table of what clients noticed [ARGS=...]
	@$(BUILD)
	@KLATSCH_EDGE=$(RELEASE)/klatsch-edge exec $(RELEASE)/klatsch-load roll --sessions 6000 --rate 200 --edges 3 $(ARGS)

bench: ## What a delivery, a session, an event cost, against baselines of the same run [ROWS="1 1b fanout"|all|list] [ARGS=...]
	@$(BUILD)
	@KLATSCH_EDGE=$(RELEASE)/klatsch-edge exec $(RELEASE)/klatsch-load bench $(ROWS) $(ARGS)

bench-quick: ## The part of it that is stable on any machine, in a minute
	@$(BUILD)
	@KLATSCH_EDGE=$(RELEASE)/klatsch-edge exec $(RELEASE)/klatsch-load bench quick $(ARGS)

growth: ## Cost against connections, rooms, edges and brokers: plots and tables into deploy/ (half an hour)
	@$(BUILD)
	@KLATSCH_EDGE=$(RELEASE)/klatsch-edge exec $(RELEASE)/klatsch-load bench growth --plots deploy/plots --report deploy/README.md $(ARGS)

fuzz: ## What comes from outside, guided by coverage: ten minutes for each target [DURATION=600] [TARGETS="session record"]
	@deploy/local/fuzz $(or $(DURATION),600) $(TARGETS)

simulate: ## Whole edges under simulated faults, one run for each seed [SEEDS=6000], or one again [SEED=...] [STORY=60]
	@$(NEED_CARGO) && SEED=$(SEED) SEEDS=$(SEEDS) STORY=$(STORY) \
	  cargo test --release --locked -p klatsch-edge --test simulation -- --nocapture

tools: ## Install what is missing where that can be done; name the rest
	@deploy/local/tools

print-edge: ## Build the edge; the last line printed is its path
	@$(BUILD)
	@echo $(RELEASE)/klatsch-edge
