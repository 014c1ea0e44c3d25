"""A method that returns a second object: the caller gets a reference and calls that.

pbweb serve examples.references.app:One
"""

import pbweb as pb


class Two(pb.Referenceable):
    def remote_three(self, number: int) -> int:
        print("Two.three was given", number)
        return number * 3


class One(pb.Root):
    def remote_getTwo(self) -> Two:
        print("One.getTwo hands out a new Two")
        return Two()
