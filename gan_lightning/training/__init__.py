"""The training engine: phases, players, averages, schedules, several processes."""
