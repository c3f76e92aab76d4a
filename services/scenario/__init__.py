"""Scenarios as a service: facts and memberships in, runs kept, the engine asked, messages handed to channels."""
