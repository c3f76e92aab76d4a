"""One profile per person: resolves accepted facts, keeps profiles, and serves the log of resolved facts."""
