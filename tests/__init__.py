"""The tests are a package, so that none of their folders hides an installed package of the same name."""
