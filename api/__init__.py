"""The way in for people and programs: the command line and the pages. Only here are clock and environment read."""
