"""The engine of training: phases, players, random streams, averages, schedules, several processes."""
