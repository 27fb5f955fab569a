"""What attacks share that see the predicted class alone: starts, bisection, jumps, and normals of the boundary."""
