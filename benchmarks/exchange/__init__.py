"""CPU seconds, memory and duration of the exchange of a large model: Flarefleet against stock NVFlare."""
