"""Tell people and programs outside, by webhook or e-mail, of what needs them.

`announcer` and `watch` find what there is to tell, and queue a notice of it for each contact; a `messenger`
for each contact sends its notices, and retries.
"""
