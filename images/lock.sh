#!/bin/sh
# Locks what the images are made of, with hashes: requirements.txt and tools.txt from the .in files, in the versions of
# requirements/dev.txt; torch-gpu.txt from PyPI, whose torch carries CUDA. `make lock` runs it.
set -eu
cd "$(dirname "$0")"

compile() {
  ../.venv/bin/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links "$@"
}

compile --unsafe-package torch --constraint ../requirements/dev.txt --output-file requirements.txt requirements.in
compile --allow-unsafe --output-file tools.txt tools.in

# PyPI alone, whatever this machine's pip is set to: elsewhere the same version is the CPU's.
unset PIP_FIND_LINKS PIP_INDEX_URL PIP_EXTRA_INDEX_URL
export PIP_CONFIG_FILE=/dev/null
compile --allow-unsafe --constraint requirements.txt --output-file torch-gpu.txt ../requirements/torch.txt
