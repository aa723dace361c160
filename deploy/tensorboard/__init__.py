"""TensorBoard on this machine, on what a federation anywhere logs: live, or kept up to date."""
