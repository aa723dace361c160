#!/bin/sh
# Installs fl_app, and of Flarefleet nothing else, into /opt/flare.
# Nothing is made only to be removed: the folder it lay in would be in this layer, or not, as Docker finds what a step
# changed (by the folder of the step, or by comparing it with the one before it).
set -eu

tools=/tmp/tools/bin/python
python=/opt/flare/bin/python

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
cp -r /tmp/source /tmp/app
: >/tmp/app/README.md  # named in pyproject.toml; of no use in an image
# The operator's command line is not part of a site.
sed -i '/^\[project\.scripts\]$/,/^$/d' /tmp/app/pyproject.toml
"$tools" -m pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir /tmp/dist /tmp/app
"$tools" -m pip --python "$python" install --quiet --root-user-action ignore --no-deps --no-index --no-compile --find-links /tmp/dist flarefleet

sh /tmp/build/compile.sh /opt/flare
