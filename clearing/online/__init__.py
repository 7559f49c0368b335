"""What is decided while a person waits: facts, a decision, an entry."""
