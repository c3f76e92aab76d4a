"""Coupons of ingest: kept where the workspace is owned, in the same step as the facts about them."""
