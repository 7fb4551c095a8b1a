"""What a bot thinks: filters, decision, prompt, cleaning, the life of an item and of a post. Pure of effects."""
