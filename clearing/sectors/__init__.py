"""What each sector of the city adds to clearing: transit today."""
