"""The product catalogue: what a product is, and its fields fitted to their kinds."""
