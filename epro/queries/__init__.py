"""Queries: a data manager asks about an answer, the site answers, the asker closes. Nothing of it is ever changed."""
