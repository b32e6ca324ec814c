"""Side room: looks at what happens and changes nothing."""
