"""Open a file of unknown origin in a process of its own, with limits on what that process may use and do.

`forking.py` starts a server, which imports what the service needs and forks children (`server.py`, `child.py`). A
child restricts itself (`system/`) before it opens any file, and then answers requests in the frames of `protocol.py`.
The parent (`process.py`) takes everything that it receives for the work of an attacker.
"""
