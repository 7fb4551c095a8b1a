"""YAML files to frozen settings, every fault with its line, and secrets by reference."""
