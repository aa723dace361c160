#!/bin/sh
# Ends a build step: what differs from run to run goes, so that the same input gives the same layer.
# Everything written since /tmp/began gets the time SOURCE_DATE_EPOCH and, in seconds, the step's number (the argument).
# Of one time for all, a file that a later step writes anew with as many bytes could be left out of its layer: where
# Docker compares a step with the one before it, it goes by size and time.
set -eu

# Emptied where the base image has them: the mark of a removed file would carry today's date. Once: to empty a file
# that is empty copies it into this step's layer, or does not, as the clock has it.
for file in /var/cache/ldconfig/aux-cache /var/log/alternatives.log /var/log/dpkg.log /var/log/apt/*; do
  if [ -s "$file" ]; then : >"$file"; fi
done
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /root/.cache
find / -xdev -newer /tmp/began -exec touch --no-dereference --date "@$((SOURCE_DATE_EPOCH + $1))" {} +
