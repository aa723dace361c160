"""What sites log, kept and passed on: TensorBoard's event files, MLflow and Weights & Biases."""
