"""Inputs that nobody would send on purpose, and what must not come of them."""
