"""Where a result comes from: its images, its patient and study, its maker, and the UIDs that follow."""
