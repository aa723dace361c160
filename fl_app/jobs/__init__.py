"""The jobs of the kit: one folder each, and the base classes of all jobs beside them."""
