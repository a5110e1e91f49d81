"""What is watched after release: facts about windows, the rules that make alarms of them, and where they are kept."""
