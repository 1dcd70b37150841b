"""One reader a format, from files as their makers left them to records."""
