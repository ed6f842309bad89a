"""Which restrictions of a child are in force on this machine, for `zoo doctor`."""

from zoo.containment.errors import ContainmentError
from zoo.containment.limits import limits_for
from zoo.containment.process import ChildProcess


def restrictions_here() -> dict[str, str]:
    """Each restriction with `in force`, or why it is not, as a child reports it that opens nothing."""
    limits = limits_for({})
    child = ChildProcess("nothing", "zoo.containment.child:nothing", {}, limits)
    try:
        child.ask({}, seconds=limits.load_seconds)
        return child.restrictions
    except ContainmentError as error:
        return {"child": error.cause}
    finally:
        child.close()
