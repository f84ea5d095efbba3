"""Everything on one machine: storage, simulated PBX and Exchange, functions, and a look at what comes out."""
