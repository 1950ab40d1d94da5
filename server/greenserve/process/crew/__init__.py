"""The crew: which worker is started, replaced, killed. The decisions of a master, without a process."""
