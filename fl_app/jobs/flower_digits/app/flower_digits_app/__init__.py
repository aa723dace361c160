"""Handwritten digits in Flower: ServerApp and ClientApp."""
