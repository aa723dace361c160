#!/bin/sh
# Lock the contents of the images, with hashes. requirements.txt keeps the versions of requirements/dev.txt; torch-gpu.txt comes
# from PyPI, whose torch wheel carries CUDA. Run by `make lock`.
set -eu
cd "$(dirname "$0")"

compile() { # the images have Debian's Python 3.11
  ../.venv/bin/uv pip compile --quiet --generate-hashes --python-version 3.11 "$@"
}

compile --no-emit-package torch ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"} --constraint ../requirements/torch.txt \
  --constraint ../requirements/dev.txt --output-file requirements.txt requirements.in
compile --output-file tools.txt tools.in
compile --no-deps --no-header --no-annotate --output-file ../requirements/he.txt ../requirements/he.in
compile --constraint requirements.txt --output-file torch-gpu.txt ../requirements/torch.txt
