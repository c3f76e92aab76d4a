"""The canonical vocabulary: what a call may say, checked, named as everybody names it, and kept as columns."""
