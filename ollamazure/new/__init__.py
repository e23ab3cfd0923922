"""From wishes ("a chat for twenty people, in French") to a stack file: `bin/ollamazure new`.

command.py puts the parts together. wishes.py and proposals.py are pure.
"""
