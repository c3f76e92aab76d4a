"""Pop-ups of the shop's pages: what they are, who sees them, what is answered, and the script that shows them."""
