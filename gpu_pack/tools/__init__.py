"""Reading what was packed: verify, inspect, extract, index.

None of it trusts a byte. A file may have been cut short, flipped, or made by someone who means harm: every answer is a
result, a listed fault or one documented error, in memory bounded by the largest record and time linear in the files.
"""
