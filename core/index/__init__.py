"""A workspace's facts as columns and sets: one writer, immutable roots for any number of readers."""
