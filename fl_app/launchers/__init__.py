"""How a parent starts its job processes: NVFlare's own, with a shorter exit and no orphans."""
