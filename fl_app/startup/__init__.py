"""The start of a parent in every runtime: check the preconditions, install the kit, run NVFlare."""
