"""The web tracker: the script that shops put on their pages, and the endpoint that it sends to."""
