"""Functions that run side by side: green threads, pools of them, and what belongs to one."""
