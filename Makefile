# Every target installs first; a second run finds .venv as it was left.

PYTHON := .venv/bin/python
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help install demo docs gallery test test-slow lint format bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

install: ## .venv with the package and its pinned dependencies
	@./install.sh

# A network small enough for a CPU: one stage of 12 x 24, no attention.
DEMO_NETWORK := --block simple --ki-block-num 1 --ki-out-channel 128 --time-field 24 --n-frames 160 \
	--no-chnlatt --no-tempatt
DEMO_TRAINING := --augment move --lr 2e-3 --max-epoch 80

demo: install ## make covers, extract features, train, evaluate, identify: some minutes on 2 cores
	$(PYTHON) preprocess.py demo
	$(PYTHON) train.py $(DEMO_NETWORK) --max-epoch 0 --tag demo-untrained --force
	$(PYTHON) train.py $(DEMO_NETWORK) $(DEMO_TRAINING) --tag demo --resume
	@echo; echo "mean chroma with optimal transposition, on DEMO-TEST:"
	@$(PYTHON) evaluate.py --baseline mean-chroma
	@echo; echo "the untrained network:"
	@$(PYTHON) evaluate.py --model-file models/demo-untrained/best.h5
	@echo; echo "the trained network:"
	@$(PYTHON) evaluate.py --model-file models/demo/best.h5
	@echo; echo "the package's model, which has heard no recording: twelve works as a library, and a thirteenth performance"
	@rm -rf datasets/demo_library; for work in $$(cut -f 1 meta/DEMO-TEST | uniq | head -n 12); do \
		mkdir -p datasets/demo_library/$$work; cp datasets/demo_audio/$$work/$${work}_p0.flac datasets/demo_library/$$work; done
	$(PYTHON) -m mulkinet index build datasets/demo_library -o datasets/demo.index
	$(PYTHON) -m mulkinet identify --index datasets/demo.index \
		$$(work=$$(head -n 1 meta/DEMO-TEST | cut -f 1); echo datasets/demo_audio/$$work/$${work}_p1.flac)

test: install ## the test suite without its slow tests, a file at a time in two processes
	$(PYTHON) -m pytest -n 2 --dist loadfile

test-slow: install ## the slow tests alone
	$(PYTHON) -m pytest -m slow

docs: install ## the documentation as a site in build/site; any warning is an error
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build

gallery: demo ## draw the pictures of the documentation again; needs Chromium
	$(PYTHON) docs/gallery.py
	$(PYTHON) docs/diagrams.py

lint: install ## ruff's checks, and whether everything is formatted
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format: install ## format the code, and repair what ruff can repair
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# These take files or the name of a table, or are imported by the others.
BENCHMARKS := $(filter-out $(addprefix benchmarks/,covers_model.py experiments.py lead_sheets.py machine.py performer.py rendered_charts.py serve.py),$(wildcard benchmarks/*.py))

bench: install ## every measurement in benchmarks/ that needs no files
	set -e; for script in $(BENCHMARKS); do $(PYTHON) $$script; done
	set -e; for table in networks losses strict; do $(PYTHON) benchmarks/experiments.py $$table; done
	$(PYTHON) benchmarks/evaluator.py --shs

clean: ## remove caches and build products; .venv, data and models stay
	rm -rf build dist *.egg-info .pytest_cache .hypothesis .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
