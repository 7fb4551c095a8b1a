"""The operator's socket: requests, replies, and the client of `hotshotctl`."""
