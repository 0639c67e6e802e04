# make demo and make test each set up all they need in .venv; PYTHON chooses the interpreter (>= 3.10).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# One lock for every Python and system. Without trackio, which wants an older Pillow, and atheris, which has few wheels.
LOCKED := pyproject.toml --universal --python-version 3.10 --generate-hashes --no-annotate \
	--extra dev --extra datasets --extra sign --extra tensorboard

.PHONY: fuzz wheel lock help install demo test test-slow check fix docs bench bench-eval bench-methods bench-noise bench-scale bench-import bench-files bench-effectiveness bench-effectiveness-quick clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# Everything but harden itself comes from the lock, by hash; nothing is resolved, and nothing fetched to build harden.
$(READY): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("harden needs Python >= 3.10, this is " + sys.version.split()[0] if sys.version_info < (3, 10) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

lock: $(READY)  ## Bring requirements.lock up to pyproject.toml; with UPGRADE=--upgrade to the newest versions
	$(BIN)/uv pip compile --quiet $(UPGRADE) $(LOCKED) --output-file requirements.lock

install: $(READY)  ## Create .venv and install harden with its development tools

demo: $(READY)  ## Harden a small network on embedded data; prints where the report is
	$(BIN)/harden demo

test: $(READY)  ## The test suite, under 10 minutes on 2 cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

fuzz: $(READY)  ## Coverage-guided fuzzing with atheris, 30 s a target; skipped where it is not installed
	$(BIN)/python tests/fuzz/run.py 30

wheel: $(READY)  ## Build the wheel, install it in a fresh environment without the repository, run harden demo there
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	./tests/wheel.sh dist/harden_onnx-*.whl

test-slow: $(READY)  ## The tests marked slow
	$(BIN)/python -m pytest -q -m slow

check: $(READY)  ## Format, lint, types, layers, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

fix: $(READY)  ## Mend what can be mended by a tool
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python docs/generate.py

docs: $(READY)  ## The documentation as a site in site/
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

bench: bench-eval bench-noise bench-methods  ## All quick benchmarks

bench-eval: $(READY)  ## Evaluation speed against the clean session and peers
	$(BIN)/python benchmarks/eval_bench.py

bench-noise: $(READY)  ## Nanoseconds a weight to draw a chip
	$(BIN)/python benchmarks/noise_bench.py

bench-methods: $(READY)  ## Step time of each method against a clean step
	$(BIN)/python benchmarks/methods_bench.py

bench-effectiveness: $(READY)  ## Which recipe hardens best: all tasks (hours; resumable)
	$(BIN)/python benchmarks/effectiveness/run.py
	$(BIN)/python docs/make_results.py

bench-effectiveness-quick: $(READY)  ## The quick subset of it, under 15 minutes
	$(BIN)/python benchmarks/effectiveness/run.py --quick --results runs/effectiveness

bench-scale: $(READY)  ## Time on 1 and 2 workers, and what 64 would take
	$(BIN)/python benchmarks/scale_bench.py

bench-import: $(READY)  ## Which timm exports import, agree and train (long; resumable)
	$(BIN)/python benchmarks/import_bench.py

bench-files: $(READY)  ## Which ONNX files of FOLDER=... (wheels, too) open, agree and can be hardened
	$(BIN)/python benchmarks/files.py $(FOLDER)

clean:  ## Remove the virtual environment and built files
	rm -rf $(VENV) build dist site
