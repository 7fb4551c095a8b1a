"""Other programs' files in our keys: HotShotBot's YAML, ssi-bot's ini, Tavern character cards; and a first file."""
