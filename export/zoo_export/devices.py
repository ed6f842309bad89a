"""Devices: which ones a format can be run on here, as the format itself says."""

from collections.abc import Callable, Mapping, Sequence

from zoo.contract.errors import DeviceError, UsageError
from zoo.contract.formats import ExportFormat
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry


def devices_of(entry: Entry[ExportFormat]) -> Mapping[str, Callable[[], str]]:
    """Device name to a function that says why it does not work here; a format that declares none has the CPU.

    Raises:
        PluginError: the format's own function cannot be imported.
    """
    if not entry.spec.devices:
        return {"cpu": lambda: ""}
    checks: Mapping[str, Callable[[], str]] = resolve(entry, entry.spec.devices)()
    return checks


def parse_devices(text: str) -> tuple[str, ...]:
    """The devices in a comma-separated text, in order and once each.

    Raises:
        UsageError: there is none.
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError("--provider names no device.", "Use --provider cpu, or --provider cpu,cuda.")
    return names


def check_devices(entries: Sequence[Entry[ExportFormat]], devices: Sequence[str]) -> None:
    """Check that each device is known to one of the formats, and works for all that know it.

    Raises:
        DeviceError: no format knows a device, or it does not work here.
    """
    known = [devices_of(entry) for entry in entries]
    for device in devices if entries else ():
        checks = [checks[device] for checks in known if device in checks]
        if not checks:
            names = ", ".join(dict.fromkeys(name for checks in known for name in checks)) or "none"
            formats = " and ".join(entry.spec.name for entry in entries)
            raise DeviceError(f"{formats} cannot run on the device {device!r}.", f"Choose from: {names}.")
        why = next((why for check in checks if (why := check())), "")
        if why:
            raise DeviceError(
                f"The device {device} {why}.",
                "Install what it needs, or leave it out of --provider; `zoo doctor` shows which devices work.",
            )


def usable_devices(entry: Entry[ExportFormat], devices: Sequence[str]) -> list[str]:
    """The devices that a format is judged on: those of `devices` that it knows, or else the CPU."""
    known = devices_of(entry)
    return [device for device in devices if device in known] or ["cpu"]
