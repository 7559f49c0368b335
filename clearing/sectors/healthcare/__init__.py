"""Hospital bills: who pays which part."""
