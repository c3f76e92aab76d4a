"""Product feeds: a file is fetched or uploaded, read, compared with the last import, and applied as facts."""
