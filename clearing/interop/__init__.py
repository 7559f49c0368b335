"""Between cities (互联互通): other cities' cards here, and ours there, by files that clearing centres exchange."""
