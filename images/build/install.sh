#!/bin/sh
# Install packages into an environment (the first argument) from hashed requirements (the other arguments, for pip),
# then trim and compile them. Packages that /opt/flare has in the same version are not installed again.
set -eu

tools=/tmp/tools/bin/python
environment=$1
python=$environment/bin/python
shift
packages_of() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
shared=$(packages_of /opt/flare)

export TMPDIR=/tmp/pip/tmp PIP_CACHE_DIR=/tmp/pip PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p "$TMPDIR"
# Download wheels, each verified by its hash; the locked setuptools builds the few source packages.
# Store them in the cache, not in /tmp: CUDA needs gigabytes, and /tmp is a tmpfs.
wheels=$(mktemp -d)
"$tools" -m pip wheel --quiet --no-deps --require-hashes --no-build-isolation --wheel-dir "$wheels" "$@"
# Install by name: pip would record a path.
find "$wheels" -name '*.whl' -printf '%f\n' | sed -E 's/^([^-]+)-([^-]+)-.*/\1 \2/' | LC_ALL=C sort |
  while read -r name version; do
    if [ ! -d "$shared/$name-$version.dist-info" ]; then echo "$name==$version"; fi
  done >/tmp/names.txt
"$tools" -m pip --python "$python" install --quiet --root-user-action ignore \
  --no-deps --no-index --no-compile --find-links "$wheels" --requirement /tmp/names.txt
rm -rf "$wheels"

cd "$(packages_of "$environment")"
# torch: remove its tests, C++ headers and build tools. `import torch` requires torch_shm_manager.
rm -rf torch/test torch/include torch/share torch/lib/*.a functorch/_C/*.a
if [ -d torch/bin ]; then find torch/bin -type f ! -name torch_shm_manager -delete; fi
# Remove the asyncio version of the Kubernetes client, and tests of packages. numpy.testing imports the tests of numpy.
rm -rf kubernetes/aio
find . -type d -name tests -not -path './numpy/*' -prune -exec rm -rf {} +
# Remove sources of extension modules, which are not needed at run time.
find . -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' \) -delete

sh /tmp/build/compile.sh "$environment"
