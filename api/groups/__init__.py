"""The groups of `onecard`: tables that say where each command is, so that a group's help loads none of them."""
