"""The segment language: text and tree, binding, planning, execution."""
