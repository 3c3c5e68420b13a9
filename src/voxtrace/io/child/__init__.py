"""The functions that read files, run in a process of their own: what a file can do there, it does to one case.

::

    guarded     the reading functions by name, each run in a reader process
    inputs      which files a call may look at, and how much memory and time it may take
    readers     reader processes that wait for the next call; a call and its answer
    process     one reader process: started, asked, ended
    messages    bytes on a pipe: a JSON document, then arrays
    values      volumes, label maps, series and plain values <-> JSON and arrays; nothing is unpickled
    serving     what runs in the reader process: it waits for calls, and runs each in a fork where the system allows
    answering   one call, under its limits, and what is sent back
    protection  what the system lets the reader process do
    landlock, seccomp   the parts of the Linux kernel for that

Nothing is imported here, so that the reader process starts quickly. :mod:`voxtrace.io` reads in the process at hand.
"""
