"""The pure heart of the platform: decisions on facts, with `now` as an argument and no I/O."""
