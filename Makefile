.DEFAULT_GOAL := help
PYTHON_BIN := .venv/bin

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

demo: ## Set up from nothing, then tune a real network on this machine
	@scripts/bootstrap run
	@rm -rf build/demo
	@$(PYTHON_BIN)/tuning run examples/digits.yaml --output build/demo

test: ## Set up from nothing, then every check: lint, types, layers, all tests
	@scripts/bootstrap cluster
	@scripts/test

lint: ## Style, strict types, import layers, generated files
	@scripts/bootstrap test
	@scripts/test lint

format: ## Format the code
	@scripts/bootstrap test
	@$(PYTHON_BIN)/ruff check --fix --quiet . ; $(PYTHON_BIN)/ruff format .

generate: ## Write the CRD and the references anew
	@scripts/bootstrap test
	@$(PYTHON_BIN)/python -m tuning_operator.api.crd > crds/tuningstudy.yaml
	@$(PYTHON_BIN)/python -m tuning_operator.api.reference > docs/reference/tuningstudy.md
	@$(PYTHON_BIN)/python -m tuning_operator.telemetry.reference > docs/reference/metrics.md
	@$(PYTHON_BIN)/python -m tuning_trainer.reference > docs/reference/trainer.md

bench: ## Measure the store, the samplers, the operator and the trainer, and print the tables; QUICK=--quick for the short way
	@scripts/bootstrap test
	@$(PYTHON_BIN)/python bench/store.py
	@OMP_NUM_THREADS=1 $(PYTHON_BIN)/python bench/search_cost.py $(QUICK)
	@$(PYTHON_BIN)/python -m bench.orchestration $(QUICK)
	@OMP_NUM_THREADS=1 $(PYTHON_BIN)/python -m bench.training $(QUICK)

cluster-up: ## Start a Kubernetes cluster on this machine that runs real Pods (needs root)
	@scripts/bootstrap cluster
	@$(PYTHON_BIN)/python -m tests.cluster up

cluster-down: ## Stop that cluster and remove all that it left
	@$(PYTHON_BIN)/python -m tests.cluster down

images: ## Build the images of the operator and the trainer, and print their sizes
	@scripts/bootstrap images
	@scripts/images

requirements: ## Pin all dependencies anew, with hashes
	@scripts/requirements

.PHONY: help demo test lint format generate bench cluster-up cluster-down images requirements
