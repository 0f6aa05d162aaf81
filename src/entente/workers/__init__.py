"""Many processes that serve as one: a parent that serves nothing, and its workers.

    parent ── the ports, the lock of the data folder, the local runtime
      ├── worker 1 ── what is done once per host: batches, sweeping
      ├── worker 2
      └── …

The parent binds the port once for each worker and keeps all of these sockets, so that
connections that came for a worker that died wait for the next one. Settings, secrets among
them, go to a worker through a socket that it inherits; when that ends, the worker stops.
"""
