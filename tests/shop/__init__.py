"""A small demo shop: plain pages that use the web tracker as a shop would. See `tests.shop.server.serve`."""
