"""Errors of the image builders.

    ImagesError
    |-- MirrorError        no usable Debian mirror is configured (the machine's)
    |-- ToolError          a subprocess is missing, failed or overran its time (the machine's)
    |-- StoreError         the artefact store refused, or holds what it should not (the machine's)
    |-- BuildError         a recipe did not yield what it promised (ours)
    |-- SignatureError     a key or signature is malformed, or does not hold (theirs)
    |-- SetError           an artifact set is malformed or not whole (theirs)
    |-- PackageError       the source of an application is not what can be packaged (theirs)
    |-- LayoutError        a container image, or a layout of them, is malformed or not whole (theirs)
    |-- BundleError        an upgrade bundle is malformed, cut short or not what it says (theirs)
    +-- ImageFormatError   a blob and its manifest do not agree (theirs)

`images.manifest.ManifestError` stands apart: that module is also the ramdisk's and imports nothing of ours.
"""


class ImagesError(Exception):
    """`evidence` is what was seen, `next_action` what a person should do."""

    def __init__(self, message: str, *, evidence: str = "", next_action: str = "") -> None:
        super().__init__(message)
        self.evidence = evidence
        self.next_action = next_action


class MirrorError(ImagesError):
    pass


class ToolError(ImagesError):
    pass


class StoreError(ImagesError):
    pass


class BuildError(ImagesError):
    pass


class SignatureError(ImagesError):
    pass


class BundleError(ImagesError):
    pass


class SetError(ImagesError):
    pass


class PackageError(ImagesError):
    pass


class LayoutError(ImagesError):
    pass


class ImageFormatError(ImagesError):
    pass
