"""A Flower app of stock parts, whose ClientApp raises at one site."""
