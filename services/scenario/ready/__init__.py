"""The shipped scenarios N1 to N20, as data: `scenarios/` in the YAML form, `needs/` what each of them needs."""
