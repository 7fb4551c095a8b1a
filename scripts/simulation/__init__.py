"""Years of bots' lives from one seed, in one process: the production code under simulated effects.

What runs is hotshotd's own: the quota process's turns with ledger, breakers and rates over the real store on a real
file, the worker with its schedule, pipeline and writer, the supervisor's state table and back-off. What is simulated
is what lies outside: time, Reddit, services, people, sockets, process death, and the disk's last moments.
"""
