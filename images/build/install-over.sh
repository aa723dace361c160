#!/bin/sh
# Makes an environment over /opt/flare (the first argument) and installs hashed requirements into it (the others, which
# are pip's): what must be of another version than there, and what is not there. All else is /opt/flare's.
set -eu

export PYTHONDONTWRITEBYTECODE=1
python3 -m venv --without-pip "$1"
sh /tmp/build/install.sh "$@"
# Last of the .pth files; what it adds to the path comes behind what is installed here.
shared=$(/opt/flare/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$shared')" >"$own/zz_what_flare_has.pth"
