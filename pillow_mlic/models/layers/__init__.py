"""Parts shared by the models of the family."""
