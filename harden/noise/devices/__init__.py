"""The devices that ship with harden, one TOML file each; the file's name is the profile's name."""
