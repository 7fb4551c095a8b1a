"""The parts of scripts/chaos: who plays, what is planned, what is done, what is measured, what is promised."""
