"""How every parent starts, in every runtime: check, lay the workspace out, become NVFlare."""
