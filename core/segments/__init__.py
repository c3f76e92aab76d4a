"""Standing segments: saved rules whose members are kept current, and the records of every change."""
