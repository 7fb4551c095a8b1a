"""Arguments and wiring of both programs; no decisions."""
