"""What all bots share: characters, breakers and Reddit's pace, kept by one process."""
