"""What stands in a bus, a gate or a counter: it deals with cards, keeps every ride, and presents it."""
