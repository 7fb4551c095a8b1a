"""Tries every credential and service of the bots live, and says how to mend what fails; needs no daemon."""
