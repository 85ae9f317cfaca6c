"""Map the stored values of a DICOM image to what is shown: modality, VOI, window, palette (PS3.3, C.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cxrbuild.convert.dicom_samples import Samples
from cxrbuild.convert.exclusion import NotConvertible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom import DataElement, Dataset

    Levels = NDArray[np.float64]

_IMPLICIT_VR = "1.2.840.10008.1.2"
_COLOURS = ("Red", "Green", "Blue")


class _Table(NamedTuple):
    """Hold a lookup table (LUT).

    Parameters
    ----------
    first
        The value that the first entry is for.
    entries
        The declared number of entries; ``levels`` may hold fewer.
    levels
        The entries.
    highest
        The level that is shown white.
    """

    first: int
    entries: int
    levels: Levels
    highest: int

    def look_up(self, values: NDArray[Any]) -> Levels:
        """Return the levels of values; values outside the table take its first or last entry.

        Some writers omit the last entry. As in DCMTK, the entry before it is used for it.

        Raises
        ------
        NotConvertible
            The values need entries that the table lacks.
        """
        import numpy as np

        index = np.clip(values - self.first, 0, self.entries - 1).astype(np.intp)
        held = len(self.levels)
        if index.max() >= held + max(1, self.entries // 100) or not held:
            raise NotConvertible(
                "unreadable", f"a DICOM file with {held:,} of {self.entries:,} entries of a LUT"
            )
        levels: Levels = self.levels[np.minimum(index, held - 1)]
        return levels


def map_monochrome(dataset: Dataset, samples: Samples, is_dark_high: bool) -> NDArray[np.uint8]:
    """Return grey levels, of shape (rows, columns).

    Parameters
    ----------
    dataset
        The header.
    samples
        The stored values.
    is_dark_high
        Whether high values are shown dark.
    """
    import numpy as np

    # The level of a sample depends on its value alone, so it is computed once for each value.
    lowest, highest = samples.value_range()
    values = np.arange(lowest, highest + 1)
    padding = _is_padding(dataset, values)
    present = samples.find_present(lowest, highest) & ~padding
    shown = _apply_voi(dataset, _apply_modality(dataset, values), present)
    if is_dark_high:
        shown = 1 - shown
    shown[padding] = 0
    if not np.isfinite(shown).all():
        raise NotConvertible("unreadable", "a DICOM file whose rescale or window is not a number")
    return samples.look_up(np.rint(shown * 255).astype(np.uint8), lowest)


def read_palette(dataset: Dataset, lowest: int, highest: int) -> tuple[NDArray[np.uint32], int]:
    """Return the colours of the values from ``lowest`` to ``highest``, and the level of full brightness.

    Returns
    -------
    numpy.ndarray
        Shape (values, 3).
    int
        The level that is shown as 255.
    """
    import numpy as np

    if "RedPaletteColorLookupTableData" not in dataset:
        raise NotConvertible("unsupported", "a DICOM file with a segmented palette")
    tables = []
    for colour in _COLOURS:
        descriptor = dataset[f"{colour}PaletteColorLookupTableDescriptor"]
        tables.append(_read_table(dataset, descriptor, dataset[f"{colour}PaletteColorLookupTableData"]))
    values = np.arange(lowest, highest + 1)
    rgb = np.stack([table.look_up(values) for table in tables], axis=-1).astype(np.uint32)
    return rgb, max(table.highest for table in tables)


def _is_padding(dataset: Dataset, values: NDArray[np.int_]) -> NDArray[np.bool_]:
    import numpy as np

    if dataset.get("PixelPaddingValue") is None:
        return np.zeros(values.shape, bool)
    bits = dataset.BitsStored
    limits = []
    for value in (dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit")):
        if value is not None:
            # Writers mix signed and unsigned here; the pattern of bits counts.
            pattern = int(value) & (2**bits - 1)
            is_negative = dataset.PixelRepresentation and pattern >= 2 ** (bits - 1)
            limits.append(pattern - 2**bits if is_negative else pattern)
    is_padding: NDArray[np.bool_] = (values >= min(limits)) & (values <= max(limits))
    return is_padding


def _apply_modality(dataset: Dataset, values: NDArray[np.int_]) -> Levels:
    """Apply the modality LUT, or the rescale."""
    import numpy as np

    item = _first_item(dataset, "ModalityLUTSequence")
    if item is not None:
        return _read_table(dataset, item["LUTDescriptor"], item["LUTData"]).look_up(values)
    slope, intercept = _read_rescale(dataset)
    return values.astype(np.float64) * slope + intercept


def _read_rescale(dataset: Dataset) -> tuple[float, float]:
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is not None and not float(slope):
        raise NotConvertible("unreadable", "a DICOM file with a Rescale Slope of 0")
    return float(1 if slope is None else slope), float(intercept or 0)


def _apply_voi(dataset: Dataset, values: Levels, present: NDArray[np.bool_]) -> Levels:
    """Apply the VOI LUT, the window or the full range, with an output range of 0 to 1."""
    import numpy as np

    item = _first_item(dataset, "VOILUTSequence")
    if item is not None:
        table = _read_table(dataset, item["LUTDescriptor"], item["LUTData"])
        table = table._replace(first=_read_voi_first(dataset, table.first, item["LUTDescriptor"].VR))
        return np.minimum(table.look_up(np.rint(values)) / table.highest, 1)
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise NotConvertible("unsupported", f"a DICOM file with the VOI LUT function {function[:16]!a}")
    centre, width = _first_value(dataset.get("WindowCenter")), _first_value(dataset.get("WindowWidth"))
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        low, high = (values[present].min(), values[present].max()) if present.any() else (0, 0)
        return np.clip((values - low) / ((high - low) or 1), 0, 1)
    if function == "SIGMOID":
        # Beyond this the result is 0 or 1 to the last bit, and exp would overflow.
        shown: Levels = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
        return shown
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return (values > centre).astype(np.float64)
    return np.clip((values - centre) / width + 0.5, 0, 1)


def _read_voi_first(dataset: Dataset, first: int, vr: str) -> int:
    """Return a VOI LUT's first value with its sign (PS3.3, C.11.2.1.1).

    In implicit VR nothing in the element distinguishes US from SS, and pydicom takes the stored values'
    sign. The sign of the modality's output decides instead: a modality LUT gives unsigned values, a rescale
    may give negative ones. Explicit VR counts unless the output cannot have such values.
    """
    is_implicit = str(dataset.file_meta.TransferSyntaxUID) == _IMPLICIT_VR
    first &= 0xFFFF
    if _first_item(dataset, "ModalityLUTSequence") is not None:
        return first
    bits, (slope, intercept) = dataset.BitsStored, _read_rescale(dataset)
    low = -(2 ** (bits - 1)) if dataset.PixelRepresentation else 0
    lowest, highest = sorted((slope * low + intercept, slope * (low + 2**bits - 1) + intercept))
    is_ambiguous = (lowest < 0) == (highest >= 0x8000)
    is_signed = vr == "SS" if is_ambiguous and not is_implicit else lowest < 0
    return first - 0x10000 if is_signed and first >= 0x8000 else first


def _first_item(dataset: Dataset, sequence: str) -> Dataset | None:
    """Return a sequence's first LUT; exporters that fill a template write items without one."""
    for item in dataset.get(sequence) or ():
        if item.get("LUTDescriptor") or item.get("LUTData"):
            return item  # type: ignore[no-any-return]
    return None


def _first_value(value: Any) -> float | None:
    from pydicom.multival import MultiValue

    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return None if value in (None, "") else float(value)


def _read_table(dataset: Dataset, descriptor: DataElement, data: DataElement) -> _Table:
    """Read a LUT (PS3.3, C.11.1.1.1 and C.7.6.3.1.5).

    pydicom's own look-up wraps around where a table of 8 bits has more than 256 entries, and where values
    and first entry are far apart.
    """
    import numpy as np

    entries, first, bits = (int(number) for number in descriptor.value)
    # pydicom corrects the first number's sign; 0 is the largest table.
    entries = entries or 0x10000
    if isinstance(data.value, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        words = np.frombuffer(data.value[: len(data.value) // 2 * 2], f"{order}u2")
    else:
        words = (np.atleast_1d(np.asarray(data.value, np.int64)) & 0xFFFF).astype(np.uint16)
    # Entries of 8 bits may be packed in pairs: only the length shows it.
    is_packed = bits <= 8 and 2 * len(words) <= entries + 1
    levels = (words.astype("<u2").view(np.uint8) if is_packed else words)[:entries].astype(np.float64)
    # Some descriptors declare fewer bits than the entries have.
    needed = max(bits, int(levels.max(initial=0)).bit_length(), 1)
    return _Table(first, entries, levels, 2**needed - 1)
