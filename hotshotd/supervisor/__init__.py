"""Children and their states, and the commands that change them."""
