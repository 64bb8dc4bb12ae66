"""What viewers ask for and what they are told: commands, answers, notices."""
