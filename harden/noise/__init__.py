"""Hardware noise: what a chip does to the weights it stores.

A profile (a TOML file in ``devices/``) says how weights become conductances and which laws (one pure function a file in
``laws/``) then change them. Training and validation draw from the same function,
`harden.noise.profile.Profile.perturb`. Nothing here knows models.
"""
