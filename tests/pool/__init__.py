"""The public face: words, bounds, views, typing, and how pools end."""
