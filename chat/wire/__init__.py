"""What crosses the wire: commands and events, typed once, and how each dialect writes them."""
