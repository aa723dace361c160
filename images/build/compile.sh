#!/bin/sh
# Compile the packages that this step installed into an environment (the argument). The bytecode is valid for any
# timestamps of the sources; a read-only root file system could not store it later. One process compiles all files in
# order, because Python's output depends on the files that it compiled before.
# Files for newer Python versions are excluded (py312_intrinsics.py of torch).
set -eu

find "$1/lib" -name '*.py' ! -name 'py31[2-9]_*' -newer /tmp/began | LC_ALL=C sort |
  PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 "$1/bin/python" -m compileall -f -q --invalidation-mode unchecked-hash -i -
