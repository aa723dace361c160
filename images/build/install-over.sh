#!/bin/sh
# Create an environment (the first argument) on top of /opt/flare and install hashed requirements into it (the other
# arguments, for pip): packages that /opt/flare lacks or has in another version. All others come from /opt/flare.
set -eu

export PYTHONDONTWRITEBYTECODE=1
python3 -m venv --without-pip "$1"
sh /tmp/build/install.sh "$@"
# The last .pth file: its path entries follow the packages that are installed here.
shared=$(/opt/flare/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$shared')" >"$own/zz_what_flare_has.pth"
