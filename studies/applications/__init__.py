"""KANs where people use networks: each study trains a KAN beside the model without KANs of equal size and a classic."""
