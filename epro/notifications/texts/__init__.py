"""What messages say, one JSON file a language; a package only so that the files are installed with it."""
