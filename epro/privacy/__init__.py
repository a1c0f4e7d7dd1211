"""What a person may ask of us about herself: to be forgotten, and to know who has looked."""
