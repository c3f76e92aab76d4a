"""The five services and the runtime they share; `services/__main__.py` is the one place that sees two of them."""
