"""A Flower app whose ClientApp raises at one site."""
