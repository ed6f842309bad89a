"""Feed damaged and hostile files to zoo's commands, many thousand of them, and count what comes out.

`seeds` makes valid files once; `mutators/` change them, along the structure of each format, and seal them again, so
that a change reaches the reader behind a checksum; `kinds` says which files each kind has and which commands read
them; `sandbox` and `watch` notice writes, programs, sockets and imports; `process` runs the commands in forked
processes under limits; `outcome` judges; `session` does all of it, goes on where it was cut, and keeps what it finds.
"""
