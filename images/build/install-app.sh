#!/bin/sh
# Install only the package fl_app of Flarefleet into /opt/flare.
# Create no temporary files: whether their folder becomes part of the layer depends on how Docker detects changes (by
# the folder of the step, or by comparing it with the previous one).
set -eu

tools=/tmp/tools/bin/python
python=/opt/flare/bin/python

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
cp -r /tmp/source /tmp/app
: >/tmp/app/README.md  # pyproject.toml names it; the image does not need it
# Sites do not need the operator's command line.
sed -i '/^\[project\.scripts\]$/,/^$/d' /tmp/app/pyproject.toml
"$tools" -m pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir /tmp/dist /tmp/app
"$tools" -m pip --python "$python" install --quiet --root-user-action ignore --no-deps --no-index --no-compile --find-links /tmp/dist flarefleet

sh /tmp/build/compile.sh /opt/flare
