"""Web pushes in browsers: the scripts that pages load, and what browsers tell back."""
