"""Generated photos of skin with acne, on which everything can be tried without anybody's face."""
