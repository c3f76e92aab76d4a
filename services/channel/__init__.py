"""Channels: messages are taken over, checked against consent, rendered, delivered once, and told back as events."""
