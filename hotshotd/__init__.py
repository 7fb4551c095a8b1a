"""hotshotd: many Reddit bots, each a character, run from one machine."""

__version__ = "0.1.0"
