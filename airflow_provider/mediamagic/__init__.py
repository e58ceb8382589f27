"""What only MediaMagic has: compliance policies, assets, webhooks."""
