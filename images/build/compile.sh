#!/bin/sh
# Compiles what this step installed into an environment (the argument). The bytecode is valid whatever the sources'
# times, and a read-only root could not write it later. One process, in order: what Python writes depends on what it
# compiled before.
# Left out is what only a newer Python can read (py312_intrinsics.py of torch).
set -eu

find "$1/lib" -name '*.py' ! -name 'py31[2-9]_*' -newer /tmp/began | LC_ALL=C sort |
  PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 "$1/bin/python" -m compileall -f -q --invalidation-mode unchecked-hash -i -
