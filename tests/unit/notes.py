"""A class of copies of whatever attributes, which knows that it arrived."""

import pbweb as pb


class Note(pb.Copyable, pb.RemoteCopy):
    pbType = "Note"

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def postUnjelly(self):
        self.told = True
