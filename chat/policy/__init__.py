"""Who may say what: identity, text, rates. Decides; never sends."""
