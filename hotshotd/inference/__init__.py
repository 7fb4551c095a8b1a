"""Clients of the services that make, rank and judge texts: one file a wire format."""
