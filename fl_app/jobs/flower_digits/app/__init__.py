"""The root folder of a Flower app for `flwr run`."""
