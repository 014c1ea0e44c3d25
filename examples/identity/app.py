"""A reference that comes back to its owner is the very object again.

pbweb serve examples.identity.app:One
"""

import pbweb as pb


class Two(pb.Referenceable):
    def remote_print(self, message: object) -> None:
        print("Two.print was given", message)


class One(pb.Root):
    def __init__(self) -> None:
        self.two = Two()

    def remote_getTwo(self) -> Two:
        return self.two

    def remote_checkTwo(self, two: object) -> bool:
        """A caller gives back what it was given: here it is an object again, no reference."""
        print("One.checkTwo was given", two)
        return two is self.two

    def remote_giveBack(self, thing: object) -> object:
        return thing
