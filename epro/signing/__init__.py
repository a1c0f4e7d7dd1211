"""Electronic signatures: an investigator's statement under exactly what she read, and what becomes of it."""
