"""Text in an ONNX file that is not UTF-8, which Protocol Buffers reads as bytes instead of as a string."""

from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]


def field_that_is_not_text(message: Message) -> str | None:
    """The name of the first field of `message`, or of a message in it, that should be text and is not UTF-8."""
    strings, messages = _fields(message.DESCRIPTOR)
    for name in strings:
        value = getattr(message, name)  # one, or a sequence
        if type(value) is bytes or (type(value) is not str and bytes in map(type, value)):
            return name
    for name in messages:
        value = getattr(message, name)
        if isinstance(value, Message):
            value = (value,) if message.HasField(name) else ()
        for each in value:
            field = field_that_is_not_text(each)
            if field is not None:
                return f"{name}.{field}"
    return None


@cache
def _fields(descriptor: Descriptor) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the fields of text, and of those of messages."""
    strings, messages = (
        tuple(field.name for field in descriptor.fields if field.type == kind)
        for kind in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE)
    )
    return strings, messages
