"""Questions beyond the accuracy of a population: which layer, which direction, how rare, how strong. One file each."""
