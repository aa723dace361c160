"""The tests, as a package: none of its folders may stand in for an installed package of its name."""
