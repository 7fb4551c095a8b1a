"""One bot's process: its loop, its schedule, its wiring."""
