"""Model families and what loads them."""
