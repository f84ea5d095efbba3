"""The use cases: what happens when the PBX, Exchange, the clock or a queue calls.

Each is one file and works against the interfaces of `shared.sync.interfaces`, so that none knows where the
state is kept or how Exchange and the PBX are reached. Each may run twice, late, or be killed half-way.
"""
