"""The manual pages, made from what `--help` is made from: see `scripts/man`.

    text      paragraphs, lists and examples of a help text
    roff      those, as man(7)
    settings  the variables of the environment, from the table of all settings
    pages     one page for the program, one for each command

What no help text tells, such as FILES and EXAMPLES, is in man/sections, in man(7): a section of the
same name is added to what is made here.
"""
