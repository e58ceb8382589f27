"""One job from its paid request to its result, for operators, sensors and triggers."""
