"""`atms run`: what to do now, and waiting for the next thing to happen."""
