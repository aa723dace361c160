#!/bin/sh
# Installs packages into an environment (the first argument) from hashed requirements (the others, which are pip's),
# trims them and compiles them. What /opt/flare has already, in the same version, is left to it.
set -eu

tools=/tmp/tools/bin/python
environment=$1
python=$environment/bin/python
shift
packages_of() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
shared=$(packages_of /opt/flare)

export TMPDIR=/tmp/pip/tmp PIP_CACHE_DIR=/tmp/pip PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p "$TMPDIR"
# Wheels first, each checked against its hash; the few that come as sources are built with the locked setuptools.
# They lie in the cache, not in /tmp: CUDA's take gigabytes, and /tmp is memory.
wheels=$(mktemp -d)
"$tools" -m pip wheel --quiet --no-deps --require-hashes --no-build-isolation --wheel-dir "$wheels" "$@"
# By name and not by path: pip would note the path.
find "$wheels" -name '*.whl' -printf '%f\n' | sed -E 's/^([^-]+)-([^-]+)-.*/\1 \2/' | LC_ALL=C sort |
  while read -r name version; do
    if [ ! -d "$shared/$name-$version.dist-info" ]; then echo "$name==$version"; fi
  done >/tmp/names.txt
"$tools" -m pip --python "$python" install --quiet --root-user-action ignore \
  --no-deps --no-index --no-compile --find-links "$wheels" --requirement /tmp/names.txt
rm -rf "$wheels"

cd "$(packages_of "$environment")"
# torch: its own tests, C++ headers and build tools. torch_shm_manager stays: `import torch` looks for it.
rm -rf torch/test torch/include torch/share torch/lib/*.a functorch/_C/*.a
if [ -d torch/bin ]; then find torch/bin -type f ! -name torch_shm_manager -delete; fi
# The asyncio twin of the Kubernetes client, and the packages' own tests. numpy keeps its: numpy.testing imports them.
rm -rf kubernetes/aio
find . -type d -name tests -not -path './numpy/*' -prune -exec rm -rf {} +
# Sources of extension modules are of no use at run time.
find . -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' \) -delete

sh /tmp/build/compile.sh "$environment"
