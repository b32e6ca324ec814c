"""procession behind the doors of other libraries, one module each; nothing here is imported by the rest."""
