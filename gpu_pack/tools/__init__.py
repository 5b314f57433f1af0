"""Commands that read datasets: verify, inspect, extract, index.

They do not trust the files, which may be damaged or hostile: each answer is a result, a listed fault or a documented
error, in memory bounded by the largest record and in time linear in the files.
"""
