"""The parts of scripts/soak: faster time, who posts when, what was promised."""
