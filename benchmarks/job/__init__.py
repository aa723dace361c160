"""Duration of a job from submission to result: Flarefleet against stock NVFlare."""
