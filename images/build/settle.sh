#!/bin/sh
# End a build step: remove everything that differs between runs, so that the same input gives the same layer.
# Each file written since /tmp/began gets the timestamp SOURCE_DATE_EPOCH plus the number of the step (the argument), in
# seconds. With one timestamp for all steps, Docker could miss a file that a later step rewrites with the same size,
# because it compares size and time.
set -eu

# Empty these files if the base image has them: the marker of a deleted file would have today's date. Do it once: emptying
# an empty file may or may not copy it into the layer, depending on the clock.
for file in /var/cache/ldconfig/aux-cache /var/log/alternatives.log /var/log/dpkg.log /var/log/apt/*; do
  if [ -s "$file" ]; then : >"$file"; fi
done
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /root/.cache
find / -xdev -newer /tmp/began -exec touch --no-dereference --date "@$((SOURCE_DATE_EPOCH + $1))" {} +
