"""The paper's tables: their rows as trainings, records of what each gave, and pages of them."""
