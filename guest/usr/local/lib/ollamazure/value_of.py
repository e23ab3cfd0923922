#!/usr/bin/python3
"""Prints the text that the JSON object on standard input has under a key.

value_of.py KEY
"""

import json
import sys

if __name__ == "__main__":
    sys.stdout.write(json.load(sys.stdin)[sys.argv[1]])
