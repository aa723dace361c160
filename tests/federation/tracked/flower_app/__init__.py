"""A Flower app whose sites log a value and do not train."""
