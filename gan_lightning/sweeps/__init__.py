"""Many runs: each a process of its own, what each leaves, and the table at the end."""
