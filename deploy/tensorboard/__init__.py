"""TensorBoard on this machine, for the event files of a federation on any runtime."""
