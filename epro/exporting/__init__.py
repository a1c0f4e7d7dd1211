"""Exports: cutting the feed at a position, reading it there, and making documents of it on request."""
