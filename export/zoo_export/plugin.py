"""x"""
from zoo import hookimpl
@hookimpl
def zoo_specs():
    return []
