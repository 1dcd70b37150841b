"""ACNet inside other tools, which must be installed for it; `acnet` does not depend on them."""
