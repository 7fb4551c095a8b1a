"""A Reddit, services and people that live in one process: for `hotshotd sandbox` and for tests."""
