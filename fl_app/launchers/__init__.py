"""How a parent starts its jobs: as processes that end with it, or each in a pod of its own."""
