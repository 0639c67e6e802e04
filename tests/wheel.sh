#!/usr/bin/env bash
# Install a wheel in a fresh environment, away from the repository, and run the demo there.
set -euo pipefail
wheel=$(realpath "$1")
constraints=$(realpath constraints.txt)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check -c "$constraints" "$wheel"
unset PYTHONPATH
venv/bin/python -c 'import harden, sys; assert harden.__file__.startswith(sys.prefix), harden.__file__'
venv/bin/harden --version
venv/bin/harden demo --out demo
test -s demo/run/model.onnx -a -s demo/run/report.html
echo "the wheel works in $(venv/bin/python --version)"
