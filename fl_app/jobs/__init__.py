"""The jobs of the kit, one folder each; `registry` lists them, `training` and `recipe` are what they are made
of."""
