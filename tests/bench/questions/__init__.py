"""The questions of `make bench`: one a file, each peer's formulations side by side with ours."""
