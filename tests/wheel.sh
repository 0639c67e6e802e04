#!/usr/bin/env bash
# Install a wheel in a fresh environment, away from the repository, and run the demo there.
set -euo pipefail
wheel=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The lock's versions without its hashes, for what harden itself needs and no more.
sed -n 's/^\([A-Za-z0-9].*[^ ]\) *\\$/\1/p' requirements.lock > "$folder/constraints.txt"
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$wheel"
unset PYTHONPATH
venv/bin/python -c 'import harden, sys; assert harden.__file__.startswith(sys.prefix), harden.__file__'
venv/bin/harden --version
venv/bin/harden demo --out demo
test -s demo/run/model.onnx -a -s demo/run/report.html
echo "the wheel works in $(venv/bin/python --version)"
