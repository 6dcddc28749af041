"""The Log protocol over the bundled log: in this process, and over a socket."""
