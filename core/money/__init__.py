"""Amounts of money in the workspace's currency."""
