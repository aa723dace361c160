"""How long a job takes, from its submission to its result: Flarefleet against stock NVFlare."""
