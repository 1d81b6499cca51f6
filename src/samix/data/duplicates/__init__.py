"""Equal photos and near-duplicates of an image set, and what they mean for its splits."""
