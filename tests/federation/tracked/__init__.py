"""Jobs that are not the kit's, as a data scientist brings them: NVFlare's recipes with own scripts."""
