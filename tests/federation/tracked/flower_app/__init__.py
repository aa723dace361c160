"""The Flower app of the table: what sites log, and no training."""
