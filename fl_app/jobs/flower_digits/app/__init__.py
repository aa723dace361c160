"""A Flower app, as `flwr run` takes it: this folder is its root."""
