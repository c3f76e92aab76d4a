"""Channels: how an address is found, a message is rendered, and the provider is called."""
