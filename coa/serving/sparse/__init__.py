"""Training-free sparse attention: which keys a query may skip, and kernels that skip them.

Masks are plain PyTorch and run anywhere; `reference` is the truth that every carrier is compared with. Needs torch.
"""
