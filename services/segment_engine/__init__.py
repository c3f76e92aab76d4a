"""The segment engine: who belongs to a segment, exactly, now and as it changes."""
