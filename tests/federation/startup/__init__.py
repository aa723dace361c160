"""How a parent starts and ends."""
